"""config show, config check, config edit: as a user types them."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from spotcluster import files, ssh
from spotcluster.cli import editing
from spotcluster.cli.main import run

SECRET = "wJalrXUtnFEMIK7MDENG"
CONFIG = f"""\
[global]
INCLUDE = plugins
[aws info]
AWS_ACCESS_KEY_ID = AKIA{SECRET}
AWS_SECRET_ACCESS_KEY = {SECRET}
[key mykey]
[cluster base]
KEYNAME = mykey
NODE_INSTANCE_TYPE = c5.xlarge:2, m5.large
PLUGINS = mine
[cluster large]
EXTENDS = base
CLUSTER_SIZE = 9
"""
PLUGINS = f"""\
[plugin mine]
SETUP_CLASS = mine.Mine
PASSWORD = {SECRET}
INDEX = https://ann:{SECRET}@example.org/simple
PHRASE = {SECRET}
"""
MINE = (
    "from pydantic import SecretStr\nfrom spotcluster.plugins.base import Plugin\n"
    "class Mine(Plugin):\n    password: str = ''\n    index: str = ''\n"
    "    phrase: SecretStr = ''\n"
)


@pytest.fixture(autouse=True)
def config(spotcluster_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    for name in ("VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    files.private_dir("plugins")
    files.write_private(spotcluster_home / "plugins" / "mine.py", MINE)
    (spotcluster_home / "config").write_text(CONFIG)
    (spotcluster_home / "config").chmod(0o600)
    (spotcluster_home / "plugins.ini").write_text(PLUGINS)
    path = spotcluster_home / "config"
    path.write_text(CONFIG.replace("INCLUDE = plugins", "INCLUDE = plugins.ini"))
    return path


def out(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert run(["config", *words]) == status
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    return said.out


def settings(capsys: pytest.CaptureFixture[str], *words: str) -> dict[tuple[str, str], Any]:
    shown = json.loads(out(capsys, "show", "--json", *words))
    return {(one["section"], one["key"]): one for one in shown["settings"]}


def test_show_says_where_each_value_comes_from(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = out(capsys, "show", "-b", "0.5", "large").splitlines()
    assert "[cluster large]" in [line.strip() for line in lines]
    cells = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if line.strip()}
    assert cells["CLUSTER_SIZE"] == f"9 {config}:13"
    assert cells["SPOT_BID"] == "0.5 --bid"
    assert cells["KEYNAME"] == f"mykey {config}:8, [cluster base], which large extends"
    assert cells["CLUSTER_SHELL"] == "bash default"
    assert cells["INDEX"] == f"(not shown) {config.parent / 'plugins.ini'}:4"
    assert cells["PHRASE"] == f"(not shown) {config.parent / 'plugins.ini'}:5"
    assert cells["PASSWORD"] == f"(not shown) {config.parent / 'plugins.ini'}:3"
    assert cells["AWS_SECRET_ACCESS_KEY"] == f"(not shown) {config}:5"


def test_show_as_json_has_every_value_with_its_place(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = settings(capsys, "large")
    assert found["cluster large", "NODE_INSTANCE_TYPE"]["value"] == "c5.xlarge:2, m5.large"
    assert found["cluster large", "NODE_INSTANCE_TYPE"]["from"] == {
        "kind": "file",
        "file": str(config),
        "line": 9,
        "section": "cluster base",
        "through": ["large", "base"],
    }
    assert found["cluster large", "PLUGINS"]["value"] == ["mine"]
    assert found["cluster large", "SPOT_BID"] == {
        "section": "cluster large",
        "key": "SPOT_BID",
        "value": None,
        "from": {"kind": "default"},
    }
    assert found["plugin mine", "PASSWORD"]["value"] is None
    flag = settings(capsys, "-s", "4", "large")["cluster large", "CLUSTER_SIZE"]
    assert (flag["value"], flag["from"]) == (4, {"kind": "flag", "name": "--cluster-size"})


def test_show_follows_the_command_line_then_the_environment_then_the_file(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def region(*words: str) -> tuple[str, str]:
        assert run([*words, "config", "show", "--json", "large"]) == 0
        every = json.loads(capsys.readouterr().out)["settings"]
        (one,) = [
            one for one in every if (one["section"], one["key"]) == ("cluster large", "REGION")
        ]
        return one["value"], one["from"]["kind"]

    assert region() == ("us-east-1", "default")
    config.write_text(config.read_text().replace("[key", "AWS_REGION_NAME = eu-west-1\n[key"))
    assert region() == ("eu-west-1", "file")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    assert region() == ("us-west-2", "environment")
    config.write_text(config.read_text() + "REGION = eu-central-1\n")
    assert region() == ("eu-central-1", "file")
    assert region("-r", "local") == ("local", "flag")


def test_keys_of_the_environment_are_shown_as_such_and_those_of_the_file_are_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SECRET)
    found = settings(capsys, "large")
    assert found["aws info", "AWS_ACCESS_KEY_ID"]["from"] == {
        "kind": "environment",
        "name": "AWS_ACCESS_KEY_ID",
    }
    assert ("aws info", "AWS_SECRET_ACCESS_KEY") not in found


def test_show_of_a_template_whose_size_is_left_to_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert settings(capsys, "base")["cluster base", "CLUSTER_SIZE"]["value"] == 1


def test_show_of_an_unknown_template(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", "larg"]) == 2
    assert "Did you mean 'large'?" in capsys.readouterr().err


def test_check_of_a_config_that_is_right_names_what_there_is_and_what_start_lacks(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = out(capsys, "check")
    assert f"{config}, {config.parent / 'plugins.ini'}: nothing is wrong." in said
    assert "Templates: base, large" in said
    assert said.count("spotcluster createkey mykey") == 1
    files.write_private(files.key_file("mykey"), ssh.keys.generate().private)
    assert "createkey" not in out(capsys, "check")


def test_check_lists_every_problem_at_once_and_ends_with_2(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        config.read_text() + "REGION = us-east-9\n[cluster x]\nEXTENDS = y\nSPOT_BID = 0\n"
    )
    config.chmod(0o600)
    broken = PLUGINS.replace("INDEX", "INDX")
    (config.parent / "plugins.ini").write_text(f"{broken}[plugin z]\nSETUP_CLASS = no.Z\n")
    assert run(["config", "check"]) == 2
    said = capsys.readouterr().err
    for part in (
        f"{config}:14: [cluster large] REGION: There is no region 'us-east-9'.",
        f"{config}:16: [cluster x] EXTENDS: there is no [cluster y].",
        f"{config}:17: [cluster x] SPOT_BID: '0' must be greater than 0.",
        f"{config}:15: [cluster x] KEYNAME: is missing",
        "plugins.ini:4: [plugin mine] INDX: is not known here. Did you mean 'INDEX'?",
        "plugins.ini:7: [plugin z] SETUP_CLASS: 'no.Z': there is no module 'no'",
        "7 problems.",
    ):
        assert part in said
    found = json.loads(out(capsys, "check", "--json", status=2))["problems"]
    assert len(found) == 7
    assert {"file", "line", "section", "key", "text"} == set(found[0])


def test_check_of_no_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.unlink()
    assert run(["config", "check"]) == 2
    assert f"The config file {config} does not exist." in capsys.readouterr().err


def editor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *bodies: str) -> None:
    """Set EDITOR to a program whose n-th run does the n-th body to `text`."""
    script = tmp_path / "an editor.py"
    lines = [
        "import pathlib, sys",
        "path, count = pathlib.Path(sys.argv[1]), pathlib.Path(__file__ + '.runs')",
        "number = len(count.read_text()) if count.exists() else 0",
        "count.write_text('x' * (number + 1))",
        "text = path.read_text()",
        *(f"if number == {number}: {body or 'pass'}" for number, body in enumerate(bodies)),
        "path.write_text(text)",
    ]
    script.write_text("\n".join(lines))
    command = shlex.join([sys.executable, str(script)])
    monkeypatch.setenv("VISUAL", command)
    monkeypatch.setenv("EDITOR", "/no/such")


LARGER = "text = text.replace('CLUSTER_SIZE = 9', 'CLUSTER_SIZE = 12')"
BROKEN = "text = text.replace('CLUSTER_SIZE = 9', 'CLUSTER_SIZE = 0')"
MENDED = "text = text.replace('CLUSTER_SIZE = 0', 'CLUSTER_SIZE = 3')"


class Terminal:
    """Standard input that is a terminal."""

    def isatty(self) -> bool:
        return True


def answers(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    left = list(words)
    monkeypatch.setattr(editing.sys, "stdin", Terminal())
    monkeypatch.setattr(editing.click, "prompt", lambda *_, **__: left.pop(0))


def leftovers(config: Path) -> list[str]:
    return [one.name for one in config.parent.iterdir() if one.name.startswith(".config.")]


def test_edit_puts_a_right_text_in_place_for_its_owner_only(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    editor(monkeypatch, tmp_path, LARGER)
    config.chmod(0o644)  # it holds keys: it does not stay so
    assert f"{config} is written." in out(capsys, "edit")
    assert "CLUSTER_SIZE = 12" in config.read_text()
    assert config.stat().st_mode & 0o777 == 0o600
    assert not leftovers(config)


def test_edit_that_changes_nothing_says_so(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    editor(monkeypatch, tmp_path)
    assert "is as it was." in out(capsys, "edit")


def test_wrong_text_is_asked_about_and_edited_again(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    editor(monkeypatch, tmp_path, BROKEN, MENDED)
    answers(monkeypatch, "e")
    assert run(["config", "edit"]) == 0
    said = capsys.readouterr()
    assert f"{config}:13: [cluster large] CLUSTER_SIZE: '0' must be at least 1." in said.err
    assert "CLUSTER_SIZE = 3" in config.read_text()
    assert not leftovers(config)


@pytest.mark.parametrize(("answer", "size"), [("q", 9), ("s", 0)])
def test_wrong_text_is_given_up_or_saved_as_the_user_says(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    answer: str,
    size: int,
) -> None:
    editor(monkeypatch, tmp_path, BROKEN)
    answers(monkeypatch, answer)
    out(capsys, "edit")
    assert f"CLUSTER_SIZE = {size}\n" in config.read_text()
    assert not leftovers(config)


def test_wrong_text_where_nobody_can_be_asked_is_kept_aside(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    editor(monkeypatch, tmp_path, BROKEN)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    before = config.read_bytes()
    assert run(["config", "edit"]) == 2
    (kept,) = leftovers(config)
    assert f"Your text is in {config.parent / kept}" in capsys.readouterr().err
    assert config.read_bytes() == before
    assert "CLUSTER_SIZE = 0" in (config.parent / kept).read_text()
    assert (config.parent / kept).stat().st_mode & 0o777 == 0o600


def test_file_that_somebody_changed_meanwhile_is_left_as_it_is(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    theirs = f"pathlib.Path({str(config)!r}).write_text('# theirs'); {LARGER}"
    editor(monkeypatch, tmp_path, theirs)
    assert run(["config", "edit"]) == 1
    assert config.read_text() == "# theirs"
    assert leftovers(config)
    assert "was changed by somebody else" in capsys.readouterr().err


def test_edit_follows_a_link_and_keeps_it(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    real = tmp_path / "real"
    real.write_text("# mine\n")
    real.chmod(0o640)
    config.unlink()
    config.symlink_to(real)
    editor(monkeypatch, tmp_path, "text += '# more'")
    out(capsys, "edit")
    assert config.is_symlink()
    assert real.read_text() == "# mine\n# more"
    assert real.stat().st_mode & 0o777 == 0o640


def test_edit_begins_with_the_template_where_there_is_no_file(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    config.unlink()
    editor(monkeypatch, tmp_path, "", "text = text.replace('CLUSTER_SIZE = 2', 'CLUSTER_SIZE = 5')")
    assert "is not written" in out(capsys, "edit")
    assert not config.exists()
    out(capsys, "edit")
    assert "CLUSTER_SIZE = 5" in config.read_text()


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("/no/such --wait", 2, "The editor /no/such cannot be run: No such file or directory."),
        ("false", 1, "The editor false ended with status 1."),
        ("vi '", 2, "EDITOR is not a command: No closing quotation."),
    ],
)
def test_editor_that_fails_changes_nothing(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    status: int,
    said: str,
) -> None:
    before = config.read_bytes()
    monkeypatch.setenv("EDITOR", command)
    assert run(["config", "edit"]) == status
    assert said in capsys.readouterr().err
    assert config.read_bytes() == before
    assert not leftovers(config)


def test_check_says_what_start_refuses_whatever_ec2_says(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "setup.sh"
    script.write_bytes(b"#!/bin/sh\n# " + b"".join(b"%d " % (n * n) for n in range(20000)))
    config.write_text(config.read_text() + f"USERDATA_SCRIPTS = {script}\n")
    assert run(["config", "check", "--json"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert [one for one in notes if "will stop at this: USERDATA_SCRIPTS: setup.sh" in one]


def test_show_says_that_the_region_is_the_aws_profiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "aws").write_text("[default]\nregion = eu-west-3\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    assert run(["config", "show", "large"]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "eu-west-3" in x]
    assert "the AWS profile" in line
