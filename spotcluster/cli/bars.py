"""How far a copy is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from spotcluster import wording
from spotcluster.cli import output
from spotcluster.ssh.copying.wire import Watch

_EVERY = 5.0  # seconds between lines


class Bar(Watch):
    """Shows a copy's bytes, rate and remaining time.

    Attributes
    ----------
    seconds : float
        How long it has taken, or took.
    """

    def __init__(self) -> None:
        self._begin = self._told = time.monotonic()
        self._size = self._done = 0
        self._files = 0
        self._end: float | None = None
        self._task: TaskID | None = None
        self._progress: Progress | None = None

    @property
    def seconds(self) -> float:
        """How long it has taken, or took."""
        return (self._end or time.monotonic()) - self._begin

    def __enter__(self) -> Self:
        if output.err.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=output.err,
                transient=True,
            )
            self._progress.start()
            self._task = self._progress.add_task("looking", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._end = time.monotonic()
        if self._progress:
            self._progress.stop()

    def total(self, files: int, size: int) -> None:
        """So much there is to do."""
        self._files, self._size = files, size
        if self._progress and self._task is not None:
            words = f"{files} file{'' if files == 1 else 's'}"
            self._progress.update(self._task, total=size, description=words)

    def moved(self, size: int) -> None:
        """So many bytes are done."""
        self._done += size
        if self._progress and self._task is not None:
            self._progress.update(self._task, completed=self._done)
            return
        now = time.monotonic()
        if now - self._told >= _EVERY:
            self._told = now
            output.err.print(self._line(now - self._begin))

    def _line(self, seconds: float) -> str:
        rate = self._done / seconds
        left = (self._size - self._done) / rate if rate > 0 else 0.0
        share = self._done / self._size if self._size else 1.0
        return (
            f"[{seconds:6.1f} s] {wording.amount(self._done)} of {wording.amount(self._size)}"
            f" ({share:.0%}), {wording.amount(rate)}/s, {left:.0f} s left"
        )
