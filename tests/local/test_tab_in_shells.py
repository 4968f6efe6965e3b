"""Tab in real shells, installed as `completion install` says, with the names of a real cluster."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest
from commands import cli, wait_until
from terminal import Terminal

from spotcluster import local
from spotcluster.cli.completion import asking

CONFIG = """
[key mykey]

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = ipyparallel

[cluster small]
KEYNAME = mykey
REGION = local
NODE_INSTANCE_TYPE = c5.large
CLUSTER_SIZE = 2
PLUGINS = pypackages
"""
SHELLS = ("bash", "zsh", "fish")
CLEAR = "\x15"
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")

pytestmark = pytest.mark.usefixtures("in_module_cloud")


@pytest.fixture(scope="module")
def cluster(module_cloud: local.Endpoint, module_home: Path) -> str:
    (module_home / "config").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOTCLUSTER_HOME", str(module_home))
        cli("createkey", "mykey")
        cli("start", "mycluster")
    return "mycluster"


@pytest.fixture
def users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the shells an empty home, and our program on the path."""
    home = tmp_path / "home"
    programs = tmp_path / "bin"
    home.mkdir()
    programs.mkdir()
    program = programs / "spotcluster"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m spotcluster "$@"\n')
    program.chmod(0o755)
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR", "BASH_COMPLETION_USER_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TERM", "xterm-256color")
    return home


def opened(shell: str, home: Path) -> Terminal:
    """Install completion for a shell as a user would, and open it in a terminal."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    said = cli("completion", "install", "--shell", shell)
    lines = "\n".join(re.findall(r"^  (.*)$", said, re.MULTILINE))
    command = [shell, "-i"]
    if shell == "fish":
        command += ["-C", "function fish_prompt; echo -n 'ready> '; end"]
    elif shell == "zsh":
        (home / ".zshrc").write_text(f"PS1='ready> '\n{lines}\n")
    else:
        own = f". {BASH_COMPLETION}" if BASH_COMPLETION.exists() else lines
        (home / ".bashrc").write_text(f"PS1='ready> '\n{own}\n")
    terminal = Terminal(command)
    assert terminal.see("ready>"), terminal.screen
    return terminal


def complete(terminal: Terminal, typed: str, seen: str) -> None:
    """Type the beginning of a line, press Tab as often as it takes, and take the line away."""
    terminal.type(typed)
    for _ in range(10):  # what EC2 did not say within a moment is there at the next Tab
        terminal.type("\t")
        if terminal.see(seen, within=5):
            break
    assert seen in terminal.screen, terminal.screen
    terminal.type(CLEAR)


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_commands_and_live_names(cluster: str, users_home: Path, shell: str) -> None:
    terminal = opened(shell, users_home)
    complete(terminal, "spotcluster statu", "spotcluster status")
    complete(terminal, "spotcluster status myc", "status mycluster")
    complete(terminal, "spotcluster sshnode mycluster node0", "mycluster node001")
    complete(terminal, "spotcluster start -c sm", "-c small")
    complete(terminal, "spotcluster an myc", "an mycluster")
    assert "Error" not in terminal.screen
    assert "Traceback" not in terminal.screen
    terminal.type("exit\r")
    terminal.close()


@pytest.mark.parametrize("shell", ["bash", "zsh"])  # fish looks for what is on the path only
def test_program_that_is_not_on_the_path_is_completed(
    cluster: str, users_home: Path, shell: str
) -> None:
    shutil.move(str(shutil.which("spotcluster")), users_home / "spotcluster")
    terminal = opened(shell, users_home)
    terminal.type("cd\r")
    complete(terminal, "./spotcluster jobs myc", "jobs mycluster")
    terminal.type("exit\r")
    terminal.close()


def answered(typed: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is offered for a line."""
    words = typed.split(" ")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setenv("_SPOTCLUSTER_COMPLETE", "bash_complete")
    try:
        return [line.partition(",")[2] for line in cli().splitlines() if line]
    finally:
        monkeypatch.delenv("_SPOTCLUSTER_COMPLETE")


def test_jobs_are_asked_of_the_master(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job.py").write_text("print(1)\n")
    cli("run", cluster, str(tmp_path / "job.py"))
    cli("run", cluster, str(tmp_path / "job.py"))
    wait_until("jobs are offered", lambda: answered(f"spotcluster logs {cluster} ", monkeypatch))
    assert answered(f"spotcluster logs {cluster} ", monkeypatch) == ["2", "1"]


def test_names_follow_the_cluster(
    cluster: str, module_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = f"spotcluster sshnode {cluster} "
    wait_until("nodes are offered", lambda: "node001" in answered(typed, monkeypatch))
    assert "node002" not in answered(typed, monkeypatch)
    cli("addnode", cluster)
    for answer in (module_home / "completion").glob("*.json"):
        long_ago = time.time() - asking.FRESH - 1
        os.utime(answer, (long_ago, long_ago))
    wait_until("the new one is, too", lambda: "node002" in answered(typed, monkeypatch))


def test_tab_started_a_local_cloud(
    spotcluster_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(tmp_path))
    (tmp_path / "config").write_text(CONFIG)
    assert answered("spotcluster status ", monkeypatch) == []
    assert not local.status().running
