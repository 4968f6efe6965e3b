"""One script among several that go to a node at once; this belongs to no room."""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A script among several that run on a node one after the other, in one round trip.

    Attributes
    ----------
    script : str
        A bash script, run under ``set -euo pipefail``; its standard input is empty. What is secret
        may be in it, but not on its first line, which errors show.
    what : str
        What it is for, as the user would call it; the error says so where it fails.
    timeout : float
        Seconds that it may take.
    user : str, optional
        Who runs it, by sudo; the login unless given.
    when : str
        A condition of the shell, tested as the login when the step's turn comes. Where it does not
        hold, the step is left out and has printed nothing.
    """

    script: str
    what: str
    timeout: float = 60.0
    user: str | None = None
    when: str = ""


FOLDER = """\
case $path in
*/*) [ -d "${path%/*}/" ] || mkdir -p -- "${path%/*}/" ;;
esac
"""
"""Script that sees to the folder of ``$path``; without a program where it is there."""


def finished(mode: int) -> str:
    """Return script that puts ``$path.new`` in the place of ``$path``; umask 077 made it."""
    return f'chmod {mode:o} "$path.new"\nmv -- "$path.new" "$path"\n'


def writing(path: str, content: str, *, user: str | None, mode: int = 0o600) -> Step:
    """Return the step that writes a file aside and renames it; `path` may start with ``~/``."""
    return Step(
        "umask 077\n"
        f"path={shlex.quote(path.removeprefix('~/'))}\n"
        f"content={shlex.quote(content)}\n"
        f'{FOLDER}printf %s "$content" >"$path.new"\n{finished(mode)}',
        what=f"writing {path}",
        user=user,
    )
