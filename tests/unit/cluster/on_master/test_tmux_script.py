"""Bringing tmux to a node: the script, with a package manager of our own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from spotcluster import templates


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the only programs that the script finds."""
    for name in ("bash", "timeout", "chmod", "touch"):
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


def run(programs: Path, manager: str) -> str:
    script = f"set -euo pipefail\nmanager={manager}\n{templates.read('tmux.sh')}"
    environment = {"PATH": str(programs), "HOME": str(programs)}
    done = subprocess.run(
        [str(programs / "bash"), "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("manager", ["apt-get", "dnf"])
def test_node_that_cannot_have_it_says_so_in_words(programs: Path, manager: str) -> None:
    write(programs / manager, "echo no way out >&2; exit 100")
    assert run(programs, manager) == f"tmux, which {manager} could not bring\n"


def test_package_lists_are_fetched_only_where_the_package_is_not_known(programs: Path) -> None:
    write(
        programs / "apt-get",
        'echo "${@: -1}" >>"$HOME/asked"\n'
        '[ "${@: -1}" != update ] || { touch "$HOME/known"; exit 0; }\n'
        '[ -e "$HOME/known" ] && touch "$HOME/tmux" && chmod +x "$HOME/tmux"',
    )
    assert run(programs, "apt-get") == ""
    assert (programs / "asked").read_text().split() == ["tmux", "update", "tmux"]


def test_node_that_has_it_is_left_alone(programs: Path) -> None:
    write(programs / "tmux", "")
    write(programs / "apt-get", 'touch "$HOME/asked"')
    assert run(programs, "apt-get") == ""
    assert not (programs / "asked").exists()
