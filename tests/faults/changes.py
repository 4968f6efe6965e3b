"""What tests change in terminals before the program is run there; see `World.change`."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from spotcluster.cli import logfile


def set_value(name: str, value: Any) -> None:
    """Let what a module has by that name be something else."""
    module, _, own = name.rpartition(".")
    found = importlib.import_module(module)
    assert hasattr(found, own), name
    setattr(found, own, value)


def work_waits(evaluations: int, seconds: float) -> None:
    """Let keepers see so many evaluations that wait, each of so many seconds."""
    from spotcluster.cluster.lifecycle.keeping.decision import Queue, Seen
    from spotcluster.cluster.lifecycle.keeping.observation import Observation

    look = Observation.look

    def with_work(self: Observation, asked: int = 0) -> Any:
        seen = look(self, asked)
        if isinstance(seen, Seen):
            return replace(seen, queue=Queue(evaluations, seconds))
        return seen

    Observation.look = with_work  # type: ignore[method-assign]


def few_names() -> None:
    """Let the program fail when it makes more than a few names of workers."""
    made: list[int] = []

    def alias(number: int) -> str:
        made.append(number)
        assert len(made) < 10, f"the names of {made} were made"
        return f"node{number:03d}"

    set_value("spotcluster.aws.blocks.alias", alias)


def can_ask() -> None:
    """Let the terminal look like one before which somebody sits."""
    set_value("spotcluster.cli.output.can_ask", lambda: True)


def cannot_write(home: Path, number: int) -> None:
    """Let what is below the home not be written to: its disk is full, or read-only."""
    make, unlink = tempfile.mkstemp, Path.unlink

    def refuse(path: Path) -> None:
        if path.is_relative_to(home):
            raise OSError(number, os.strerror(number), str(path))

    def refuse_to_make(**given: Any) -> Any:
        refuse(given["dir"])
        return make(**given)

    def refuse_to_unlink(path: Path, **given: Any) -> None:
        refuse(path)
        unlink(path, **given)

    tempfile.mkstemp = refuse_to_make
    if number == errno.EROFS:
        set_value("spotcluster.cli.logfile._file", lambda command: refuse(home / command))
        Path.unlink = refuse_to_unlink


class _Full:
    def write(self, _: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        pass


def log_on_a_full_disk() -> None:
    """Let the disk of the log file get full when it is open."""
    to_file: Any = logfile._file

    def on_full_disk(command: str) -> logging.Handler:
        made: logging.StreamHandler[Any] = to_file(command)
        made.stream = _Full()
        return made

    logfile._file = on_full_disk


def at_columns(number: int) -> None:
    """Let the terminal be so wide."""
    from rich.console import Console

    narrow = Console(
        width=number, force_terminal=True, highlight=False, soft_wrap=True, color_system=None
    )
    set_value("spotcluster.cli.output.out", narrow)
