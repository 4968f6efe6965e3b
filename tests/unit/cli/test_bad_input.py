"""Bad input: one clear sentence and what to do, the right exit status, nothing made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spotcluster import __version__, files, ssh
from spotcluster.cli.main import cli, run

CONFIG = """
[key mykey]

[cluster small]
KEYNAME = mykey
REGION = us-east-1
NODE_INSTANCE_TYPE = c5.large
CLUSTER_SIZE = 2
"""


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take every source of AWS credentials away."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture
def config(spotcluster_home: Path) -> Path:
    path = spotcluster_home / "config"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def key(config: Path) -> Path:
    path = files.key_file("mykey")
    files.write_private(path, ssh.keys.generate().private)
    return path


def refused(capsys: pytest.CaptureFixture[str], *words: str, status: int = 2) -> str:
    """Run the program, hold its exit status, and return what it said on standard error."""
    assert run(list(words)) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


def test_unknown_template_names_those_there_are(
    key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "start", "-c", "smal", "mycluster")
    assert "'smal'" in said
    assert "'small'" in said


def test_missing_key_file_says_how_to_make_one(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "start", "-c", "small", "mycluster")
    assert "mykey" in said
    assert "createkey" in said


def test_key_file_that_others_can_read_is_refused(
    key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key.chmod(0o644)
    assert "chmod 600" in refused(capsys, "start", "-c", "small", "mycluster")


def test_size_0_names_the_flag(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "size" in refused(capsys, "start", "-c", "small", "-s", "0", "mycluster").lower()


def test_negative_bid_names_the_flag(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--bid" in refused(capsys, "start", "-c", "small", "-b", "-1", "mycluster")


@pytest.mark.parametrize("flag", ["--bid", "--budget"])
def test_decimal_comma_is_explained(
    key: Path, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "start", "-c", "small", flag, "0,5", "mycluster")
    assert "'0,5' is not a number: write 0.5." in said


def test_unknown_region_names_the_nearest(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "-r", "us-east-11", "start", "-c", "small", "mycluster")
    assert "Did you mean 'us-east-1'?" in said


def test_no_credentials_says_how_to_get_some(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "start", "-c", "small", "mycluster", status=1)
    assert "credentials" in said
    assert "aws configure" in said
    assert "The full story is in" in said


def test_bad_cluster_name_is_refused(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'a/b'" in refused(capsys, "start", "-c", "small", "a/b")


def test_every_problem_of_a_config_is_said_at_once(
    spotcluster_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = spotcluster_home / "config"
    path.write_text("[clutser x]\nA = 1\n[cluster small]\nKEYNAMME = mykey\nSPOT_BID = cheap\n")
    said = refused(capsys, "listclusters")
    for part in (str(path), "clutser", "KEYNAMME", "KEYNAME", "cheap"):
        assert part in said


@pytest.mark.parametrize("words", [["listclusters"], ["config", "check"]])
def test_who_names_a_config_was_told_to_edit_another_one(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my config"
    path.write_text("[clutser x]\n")
    said = refused(capsys, "-c", str(path), *words)
    assert f"`spotcluster -c '{path}' config edit`" in said
    path.rename(files.config_file())
    assert "`spotcluster config edit`" in refused(capsys, *words)


def test_no_config_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "start", "mycluster")
    assert "template" in said


def test_config_file_that_is_named_must_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "-c", str(tmp_path / "nothing"), "listclusters")
    assert str(tmp_path / "nothing") in said


def test_unknown_command_and_missing_argument_are_usage_errors(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "Did you mean 'start'?" in refused(capsys, "strat", "x")
    assert "NAME" in refused(capsys, "start")


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (("start", "-r", "local", "mycluster"), "spotcluster -r REGION start ..."),
        (("config", "check", "--config", "file"), "spotcluster -c FILE config check ..."),
    ],
)
def test_option_of_the_program_behind_a_command_was_only_unknown(
    words: tuple[str, ...], instead: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"It stands before the command: `{instead}`." in refused(capsys, *words)


def test_ledger_that_is_not_there_was_a_failure_without_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "results", str(tmp_path / "none.ledger"))
    assert "There is no ledger" in said
    assert str(files.home() / "searches") in said
    assert "full story" not in said


def test_createkey_does_not_overwrite(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "key"
    target.write_text("mine")
    assert str(target) in refused(capsys, "createkey", "mykey", "-o", str(target))
    assert target.read_text() == "mine"


def test_failed_createkey_leaves_no_file(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "key"
    refused(capsys, "createkey", "mykey", "-o", str(target), status=1)
    assert not target.exists()


def test_help_and_version_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert "terminate" in capsys.readouterr().out
    assert run(["help", "start"]) == 0
    assert "--dry-run" in capsys.readouterr().out
    assert run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_help_tells_what_every_command_does_in_whole_sentences(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for name, command in cli.commands.items():
        assert f"{name} {(command.help or '').partition('.')[0].split()[0]}" in said
    assert "..." not in said.partition("Clusters:")[2]  # which a sentence that is cut ends with


def test_help_config_prints_a_template_that_loads(capsys: pytest.CaptureFixture[str]) -> None:
    from spotcluster import config

    assert run(["help", "config"]) == 0
    loaded = config.load_text(capsys.readouterr().out, "template")
    assert loaded.clusters


def test_program_without_words_and_config_says_where_a_template_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([]) == 0
    said = capsys.readouterr()
    assert "Usage:" in said.out
    assert "spotcluster help config" in said.err


def test_log_files_are_private_and_bounded(spotcluster_home: Path) -> None:
    for _ in range(3):
        subprocess.run(
            [sys.executable, "-m", "spotcluster", "help"], capture_output=True, check=True
        )
    logs = list((spotcluster_home / "logs").iterdir())
    assert len(logs) == 3
    assert all(path.stat().st_mode & 0o077 == 0 for path in logs)
    assert spotcluster_home.joinpath("logs").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_imports_nothing_that_it_does_not_need(words: list[str]) -> None:
    """What no part of it uses was a quarter of the time that it took."""
    run = f"main.run({words}); import sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"from spotcluster.cli import main; {run}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "spotcluster" in done.stdout
    found = set(done.stderr.split())
    assert "spotcluster.cli.commands.clusters" in found
    heavy = {"boto3", "botocore", "numpy", "paramiko", "pydantic", "rich", "sklearn", "zmq"}
    own = {"aws", "cluster", "config", "local", "plugins", "published", "search", "ssh", "threads"}
    slow = {"difflib", "hashlib", "html", "json", "logging", "ssl", "subprocess", "tempfile"}
    assert not found & (heavy | slow | {f"spotcluster.{name}" for name in own})
