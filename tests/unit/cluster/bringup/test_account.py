"""What an account of a node has in its shells."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spotcluster import templates
from spotcluster.ssh.script import Script

UBUNTUS = """\
# ~/.bashrc: executed by bash(1) for non-login shells.
case $- in
    *i*) ;;
      *) return;;
esac
PATH=/conda/bin:$PATH"""
SYSTEM = "/usr/bin:/bin"
BY_SSH = {"SSH_CLIENT": "10.0.0.1 4711 22", "SSH_CONNECTION": "10.0.0.1 4711 10.0.0.2 22"}
ASK = "command -v python || true"

Shell = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".bashrc").write_text(UBUNTUS)
    (tmp_path / ".profile").write_text(
        'PATH=$HOME/own:$PATH\nif [ -n "$BASH_VERSION" ]; then . ~/.bashrc; fi\n'
    )
    return tmp_path


@pytest.fixture
def shell(home: Path) -> Shell:
    def run(*words: str, given: str = "") -> str:
        done = subprocess.run(
            [shutil.which(words[0]) or words[0], *words[1:]],
            input=given,
            env={"HOME": str(home), "PATH": SYSTEM, **BY_SSH},
            cwd=home,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    return run


def prepare(shell: Shell, programs: str = "", login_shell: str = "bash") -> None:
    script = templates.script(
        "account.sh", master=False, aliases="", keys="", own=False, programs=programs
    )
    given = f"set -Eeuo pipefail\nSHELL=/bin/{login_shell}\n{script}"
    shell("bash", "--norc", "-c", given)


def put_python(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "python").write_text("#!/bin/sh\n")
    (folder / "python").chmod(0o755)
    return folder / "python"


@pytest.mark.parametrize(
    "words",
    [
        ("bash", "-c", ASK),  # as ssh NODE COMMAND has it
        ("bash", "-l"),
        ("bash", "-i"),
        ("bash", "-lc", ASK),
        ("sh", "-l"),
        ("zsh", "-c", ASK),
        ("zsh", "-l"),
        ("tcsh", "-c", "which python || true"),
    ],
    ids=" ".join,
)
def test_after_a_login_there_was_no_python(
    home: Path, shell: Shell, words: tuple[str, ...]
) -> None:
    if not shutil.which(words[0]):
        pytest.skip(f"needs {words[0]}")
    prepare(shell, login_shell=words[0])
    assert ".spotcluster" not in shell(*words, given=ASK)
    python = put_python(home / ".spotcluster" / "env" / "bin")
    assert shell(*words, given=ASK).splitlines()[-1] == str(python)


def test_login_that_is_not_the_account_has_programs_of_its_own(home: Path, shell: Shell) -> None:
    python = put_python(home / "programs")
    prepare(shell, str(home / "programs"))
    assert shell("bash", "-c", ASK) == str(python)


def test_scripts_of_ours_find_what_the_machine_has(home: Path, shell: Shell) -> None:
    prepare(shell)
    put_python(home / ".spotcluster" / "env" / "bin")
    script = Script('echo "$PATH"', 60.0)
    assert SYSTEM in shell("bash", "-c", script.line, given=script.stdin.decode())
    assert ".spotcluster" not in shell("bash", "-c", script.line, given=script.stdin.decode())


def test_files_of_shells_keep_what_is_in_them_and_grow_once(home: Path, shell: Shell) -> None:
    prepare(shell)
    once = (home / ".bashrc").read_text()
    assert UBUNTUS in once
    prepare(shell)
    assert (home / ".bashrc").read_text() == once
    assert len(once.splitlines()) == len(UBUNTUS.splitlines()) + 2
    assert not (home / ".bash_profile").exists()


def test_file_that_cannot_be_written_is_left_as_it_is(home: Path, shell: Shell) -> None:
    (home / ".bashrc").unlink()
    (home / ".bashrc").mkdir()
    prepare(shell)
