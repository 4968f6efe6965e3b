"""Editing a file aside, and putting it in place only when it is right, or when the user says so."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spotcluster import files
from spotcluster.cli import output
from spotcluster.errors import SpotclusterError, UsageError

if TYPE_CHECKING:
    from spotcluster.config.problems import Problem

_USUAL = ("nano", "vim", "vi")


def edit(path: Path) -> str:
    """Let the user edit the config file `path`; return what came of it, in a sentence.

    The file changes only whole, and never to one that is wrong unless the user asks for that. Where
    an edit is not taken over and not given up either, it is kept, and the error names the place.

    Raises
    ------
    UsageError
        There is no editor, or the text is wrong and nobody can be asked.
    SpotclusterError
        The editor failed, or the file was changed by somebody else in the meantime.
    click.Abort
        Interrupted at a question.
    """
    target = path.resolve()  # where it is a link, the file behind it is what changes
    before = _content(target)
    files.make_parents(target)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".ini")
    aside = Path(name)
    with os.fdopen(handle, "wb") as file:  # mode 0600 from the start: it may hold secrets
        file.write(_template() if before is None else before)
    keep = False
    try:
        return _until_right(path, target, aside, before)
    except (click.Abort, KeyboardInterrupt, SpotclusterError):
        keep = _content(aside) not in (before, _template())
        if keep:
            output.err.print(f"Your text is in {aside}")
        raise
    finally:
        if not keep:
            with contextlib.suppress(FileNotFoundError):
                aside.unlink()


def _until_right(path: Path, target: Path, aside: Path, before: bytes | None) -> str:
    from spotcluster import config

    while True:
        _run_editor(aside)
        after = _content(aside) or b""
        if after == before:
            return f"{path} is as it was."
        if before is None and after == _template():
            return f"{path} is not written: the template is as it was."
        problems, secret = config.examine_bytes(after, path)
        if problems:
            choice = _ask(path, problems)
            if choice == "e":
                continue
            if choice == "q":
                return f"{path} is as it was; your text is gone."
        _put(target, after, before, secret=secret)
        wrong = " It is wrong still: `spotcluster config check`." if problems else ""
        return f"{path} is written.{wrong}"


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"The file {path} cannot be read: {error.strerror}.") from error


def _template() -> bytes:
    from spotcluster import templates

    return templates.read("config.ini").encode()


def _run_editor(file: Path) -> None:
    words = _editor()
    try:
        status = subprocess.run([*words, str(file)], check=False).returncode
    except OSError as error:
        raise UsageError(
            f"The editor {words[0]} cannot be run: {error.strerror}.",
            "Name another one with EDITOR, as in `EDITOR=nano spotcluster config edit`.",
        ) from error
    if status:
        raise SpotclusterError(f"The editor {words[0]} ended with status {status}.")


def _editor() -> list[str]:
    for name in ("VISUAL", "EDITOR"):
        said = os.environ.get(name, "").strip()
        if said:
            try:
                return shlex.split(said)
            except ValueError as error:
                raise UsageError(f"{name} is not a command: {error}.") from error
    found = [editor for editor in _USUAL if shutil.which(editor)]
    if not found:
        raise UsageError(
            "There is no editor here.",
            "Name one with EDITOR, as in `EDITOR=nano spotcluster config edit`.",
        )
    return found[:1]


def _ask(path: Path, problems: list[Problem]) -> str:
    """Say what is wrong and ask what to do: e(dit), s(ave) or q(uit)."""
    from spotcluster.errors import ConfigError

    lines = [str(problem) for problem in problems]
    if not sys.stdin.isatty():
        raise ConfigError(lines, f"Nobody can be asked here, so {path} is as it was.")
    for line in lines:
        output.error(line)
    question = "[e] edit again, [s] save it all the same, [q] leave the file as it was"
    return str(
        click.prompt(
            question,
            type=click.Choice(["e", "s", "q"]),
            default="e",
            show_choices=False,
            err=True,
        )
    )


def _put(target: Path, after: bytes, before: bytes | None, *, secret: bool) -> None:
    """Put the text in place, unless somebody else has changed the file since it was read."""
    if _content(target) != before:
        raise SpotclusterError(
            f"{target} was changed by somebody else in the meantime, and is as they left it."
        )
    mode = 0o600 if secret or before is None else stat.S_IMODE(target.stat().st_mode)
    files.write_private(target, after, mode=mode)
