"""What Tab is answered with, and where what a shell reads is put."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spotcluster import files
from spotcluster.cli.completion import asking
from spotcluster.cli.main import run

Offered = Callable[..., list[str]]

CONFIG = """
[key mykey]

[cluster small]
KEYNAME = mykey
REGION = us-east-1
NODE_INSTANCE_TYPE = c5.large
CLUSTER_SIZE = 2

[plugin mine]
SETUP_CLASS = nowhere.Mine
"""


@pytest.fixture(autouse=True)
def known(spotcluster_home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Have a config, a cluster that was reached, and an EC2 that says what a test has it say."""
    (spotcluster_home / "config").write_text(CONFIG)
    there = files.known_hosts_file("eu-west-1", "mycluster")
    there.parent.mkdir(parents=True)
    there.touch()
    told: dict[str, object] = {}
    monkeypatch.setattr(asking, "answer", lambda _: told or None)
    return told


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Offered:
    """Give what is offered after a line; nothing else is ever shown."""

    def answered(typed: str, status: int = 0) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
        monkeypatch.setenv("_SPOTCLUSTER_COMPLETE", "bash_complete")
        assert run([]) == status
        shown = capfd.readouterr()
        assert shown.err == ""
        return [line.partition(",")[2] for line in shown.out.splitlines() if line]

    return answered


def test_a_cluster_that_was_reached_is_offered_where_ec2_says_nothing(offered: Offered) -> None:
    assert offered("spotcluster status m") == ["mycluster"]
    assert offered("spotcluster terminate mycluster ") == []
    assert offered("spotcluster -r us-east-1 status ") == []


def test_what_ec2_says_of_a_region_is_what_is_there(
    offered: Offered, known: dict[str, object]
) -> None:
    known |= {"eu-west-1": {"other": {"master": "c5.large", "node001": "c5.large"}}}
    assert offered("spotcluster status ") == ["other"]
    assert offered("spotcluster sshnode other ") == ["master", "node001"]
    assert offered("spotcluster removenode other node001 ") == ["master"]
    assert offered("spotcluster put --node n") == ["node001"]
    assert offered("spotcluster sshnode mycluster ") == []


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("start -c s", ["small"]),
        ("config show ", ["small"]),
        ("runplugin ", ["mine"]),
        ("start -k ", ["mykey"]),
        ("-r eu-west", ["eu-west-1", "eu-west-2", "eu-west-3"]),
        ("help termi", ["terminate"]),
        ("termi", ["terminate"]),
        ("start --dry", ["--dry-run"]),
        ("completion show ", ["bash", "zsh", "fish"]),
    ],
)
def test_names_of_this_computer(offered: Offered, typed: str, names: list[str]) -> None:
    assert offered(f"spotcluster {typed}") == names


def test_short_name_of_a_command_is_completed_as_its_long_one(offered: Offered) -> None:
    assert offered("spotcluster an my") == ["mycluster"]


def test_what_is_wrong_is_not_shown(
    offered: Offered, spotcluster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(asking, "answer", fails)
    assert offered("spotcluster status ", status=1) == []
    assert offered("spotcluster ssh ", status=1) == []
    (spotcluster_home / "config").write_text("[clutser")
    assert offered("spotcluster start -c ") == []


def test_answer_is_asked_for_anew_when_it_is_old(
    monkeypatch: pytest.MonkeyPatch, spotcluster_home: Path
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(spotcluster_home))
    monkeypatch.setattr(asking, "_PATIENCE", 0.0)
    asked = []
    monkeypatch.setattr(asking, "_ask_aside", lambda *given: asked.append(given))
    question = asking.Question(None, "us-east-1")
    assert asking.answer(question) is None
    files.write_private(question.answer_file, '{"us-east-1": {}}')
    assert asking.answer(question) == {"us-east-1": {}}
    assert len(asked) == 1


def test_nobody_waits_longer_than_a_moment_for_who_asks(
    monkeypatch: pytest.MonkeyPatch, spotcluster_home: Path
) -> None:
    """A network that swallows all that is sent must not hold a shell up."""
    monkeypatch.undo()
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(spotcluster_home))
    looks = iter(range(1000))
    monkeypatch.setattr(asking.time, "monotonic", lambda: next(looks))
    monkeypatch.setattr(asking.time, "sleep", lambda _: None)

    class Silent:
        def __init__(self, command: list[str], **streams: object) -> None:
            assert streams["start_new_session"]

        def poll(self) -> None:
            return None

    monkeypatch.setattr(asking.subprocess, "Popen", Silent)
    assert asking.answer(asking.Question(None, "us-east-1")) is None
    assert next(looks) < 10


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR", "BASH_COMPLETION_USER_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("/bin/bash", ".local/share/bash-completion/completions/spotcluster"),
        ("/usr/bin/zsh", ".zfunc/_spotcluster"),
        ("/usr/bin/fish", ".config/fish/completions/spotcluster.fish"),
    ],
)
def test_install_writes_for_the_users_shell_once(
    home: Path,
    shell: str,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SHELL", shell)
    assert run(["completion", "install"]) == 0
    said = capsys.readouterr().out
    written = (home / place).read_text()
    assert f"{home / place} is written." in said
    assert "new shells" in said
    assert run(["completion", "install"]) == 0
    assert "is there already" in capsys.readouterr().out
    assert run(["completion", "show", Path(shell).name]) == 0
    assert capsys.readouterr().out == written


def test_shell_that_is_none_of_them_is_to_be_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert run(["completion", "install"]) == 2
    assert "--shell" in capsys.readouterr().err
    assert list(home.iterdir()) == []
