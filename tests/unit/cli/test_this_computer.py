"""Faults of the user's own computer: each is said as what it is, and none is called our bug."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spotcluster import published
from spotcluster.aws import session
from spotcluster.aws.session import Session
from spotcluster.cli import main
from spotcluster.errors import UsageError

KEYS = "[default]\naws_access_key_id = a\naws_secret_access_key = b\n"
NOT_OURS = "[default\nregion = us-east-1\n"


def missing_profile(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("AWS_PROFILE", "nobody")


def config_that_does_not_parse(patch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "aws").write_text(NOT_OURS)
    patch.setenv("AWS_CONFIG_FILE", str(folder / "aws"))


def credentials_that_do_not_parse(patch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "credentials").write_text(NOT_OURS)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))


def endpoint_that_is_none(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("AWS_ENDPOINT_URL", "nowhere")


def source_profile_that_is_missing(patch: pytest.MonkeyPatch, folder: Path) -> None:
    text = "[profile a]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = b\n"
    (folder / "aws").write_text(text)
    patch.setenv("AWS_CONFIG_FILE", str(folder / "aws"))
    patch.setenv("AWS_PROFILE", "a")


def number_that_is_none(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("AWS_MAX_ATTEMPTS", "many")


FAULTS: dict[Callable[[pytest.MonkeyPatch, Path], None], str] = {
    missing_profile: "'nobody'",
    config_that_does_not_parse: "/aws",
    credentials_that_do_not_parse: "/credentials",
    endpoint_that_is_none: "nowhere",
    source_profile_that_is_missing: "profile",
    number_that_is_none: "many",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have credentials, and EC2 nowhere."""
    (tmp_path / "good").write_text(KEYS)
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "good"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_aws_files_and_variables_that_are_wrong_are_named(
    fault: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fault(monkeypatch, tmp_path)
    if fault is number_that_is_none:  # our own calls do not go by it
        assert Session("us-east-1").ec2
        return
    assert main.run(["-r", "us-east-1", "listkeypairs"]) in (1, 2)
    said = capsys.readouterr().err
    assert FAULTS[fault] in said
    assert "not foreseen" not in said
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 3


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_aws_files_that_are_wrong_mean_nothing_to_what_needs_none(
    fault: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local cloud needs no AWS account, so it needs no profile of one."""
    fault(monkeypatch, tmp_path)
    session.known_regions.cache_clear()
    assert "eu-west-1" in session.known_regions()
    keys = session.Credentials("a", "b")
    made = session.core_session(of_the_user=False, keys=keys, region="us-east-1")
    assert made.get_credentials().access_key == "a"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/x/y"), "/x/y: Is a directory"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "/x/y: Permission denied"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), "Connection reset"),
        (OSError("odd"), "odd"),
        (MemoryError(), "no memory left"),
        (ModuleNotFoundError("No module named 'jupyterlab'", name="jupyterlab"), "'jupyterlab'"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else "",
)
def test_fault_of_this_computer_is_not_called_our_bug(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(main.cli, "invoke", fail)
    assert main.run(["listclusters"]) == 1
    shown = capsys.readouterr().err
    assert said in shown
    assert "bug" not in shown


@pytest.mark.parametrize("error", [KeyError("x"), ModuleNotFoundError("m", name="spotcluster.x")])
def test_what_nobody_had_foreseen_is_called_our_bug(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(main.cli, "invoke", fail)
    assert main.run(["listclusters"]) == 1
    assert "It is a bug in spotcluster" in capsys.readouterr().err


@pytest.mark.parametrize("home", ["/dev/null/x", "FILE", "FILE/x", "~nobody-here/x", "LINK"])
@pytest.mark.parametrize("words", [("config", "check"), ("-r", "us-east-1", "createkey", "k"), ()])
def test_home_that_cannot_be_made_is_named(
    home: str,
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "FILE").touch()
    (tmp_path / "LINK").symlink_to(tmp_path / "none" / "none")
    path = home if home[0] in "/~" else str(tmp_path / home)
    monkeypatch.setenv("SPOTCLUSTER_HOME", path)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert main.run(list(words)) in (0, 1, 2)
    said = capsys.readouterr().err
    assert "not foreseen" not in said
    assert path in said


def test_user_without_a_home_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SPOTCLUSTER_HOME")
    monkeypatch.delenv("HOME")

    def nobody(_: object) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert main.run(["config", "check"]) == 2
    assert "home folder" in capsys.readouterr().err


BEST = {"validation": 0.5, "validation_error": None, "finished": 1, "splits": 2, "params": {"C": 1}}
GOOD: dict[str, Any] = {
    "format": published.FORMAT,
    "id": "s",
    "kind": "GridSearch",
    "ledger": "/l",
    "controller": "c",
    "host": "h",
    "process": 1,
    "started": 1.0,
    "updated": 2.0,
    "running": True,
    "done": 1,
    "total": 2,
    "per_second": None,
    "seconds_left": 3.5,
    "bests": [BEST],
    "remarks": ["one"],
}
BAD: list[dict[str, Any]] = [
    *({name: value for name, value in GOOD.items() if name != left} for left in GOOD),
    *(GOOD | {name: []} for name in ("id", "kind", "started", "updated", "done", "total")),
    *(GOOD | {"updated": value} for value in ("soon", None, 1e300, float("inf"), True)),
    *(GOOD | {"bests": value} for value in (None, {}, [1], [{}], [BEST | {"params": 1}])),
    *(GOOD | {"remarks": value} for value in ("x", [1], None)),
]


def test_progress_files_that_are_malformed_are_passed_over() -> None:
    """One of them, on the laptop or on the master, ended `status` for all searches."""
    lines = [*map(json.dumps, [*BAD, GOOD]), "{", "[]", "null", '"x"', "[" * 20000]
    may_lack = ("ledger", "host", "process", "per_second", "seconds_left")
    found = published.parse("\n".join(lines))
    assert all(one["id"] == "s" and one["bests"][0]["params"] for one in found)
    assert len(found) == 1 + len(may_lack)
    (shown,) = published.merged(found, [], "c", 3.0)
    assert shown["state"] == "running"


def test_odd_things_in_the_folder_of_searches_hide_no_search(spotcluster_home: Path) -> None:
    folder = published.folder()
    (folder / "a.progress").mkdir()
    (folder / "b.progress").write_bytes(b"\xff\xfe{")
    (folder / "c.progress").write_text(json.dumps(GOOD))
    (folder / "d.progress").symlink_to("nowhere")
    assert [one["id"] for one in published.read()] == ["s"]
    for path in folder.iterdir():
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    folder.touch()
    assert published.read() == []


@pytest.mark.parametrize(
    "text", [None, 1, "", "{", "[]", json.dumps({"spotcluster": published.FORMAT}), "[" * 20000]
)
def test_label_that_is_not_of_a_search_says_nothing(text: Any) -> None:
    assert published.label_of(text) == {}


def test_profile_that_is_missing_is_named_with_what_names_it(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UsageError, match="no profile 'nobody'") as refused:
        Session("us-east-1")
    assert "AWS_PROFILE" in refused.value.hint
