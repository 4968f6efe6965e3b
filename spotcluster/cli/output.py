"""What the user sees: tables and results on standard output, progress and errors on the other."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text as RichText

from spotcluster.cli import tables
from spotcluster.errors import SpotclusterError
from spotcluster.wording import in_lines, plain

# A cell of a notebook (`!spotcluster start ...`) gives its commands a terminal and FORCE_COLOR, but
# shows lines only: nothing can be drawn over, and nobody can answer.
_IN_A_NOTEBOOK = "JPY_PARENT_PID" in os.environ
_TERMINAL = False if _IN_A_NOTEBOOK else None  # None: rich looks

_PIPE_WIDTH = 240
_COLOURS = {"ready": "green", "failed": "red", "draining": "yellow", "terminated": "dim"}


class Text(RichText):
    """Text that is printed as it is, but for what would be an order to the terminal.

    Much of what is printed comes from nodes and tags, which others may write.
    """

    def __init__(self, text: str = "", style: str = "", **options: Any) -> None:
        super().__init__(plain(text), style, **options)


class _Console(Console):
    """Breaks lines between words, where a terminal breaks them wherever its last column is.

    Who reads a pipe gets them whole; and so does everybody with ``soft_wrap=True``, for what a node
    has written.
    """

    def print(self, *objects: Any, **how: Any) -> None:
        """Print as rich does."""
        if self.is_terminal and how.get("soft_wrap") is None:
            objects = tuple(self._broken(one) for one in objects)
        super().print(*objects, **how)

    def _broken(self, what: Any) -> Any:
        if isinstance(what, str):
            return in_lines(what, self.width)
        if isinstance(what, RichText) and not what.spans:
            return RichText(in_lines(what.plain, self.width), style=what.style)
        return what


# Without emoji: in a name or an ARN what stands between two colons would become one.
_PLAIN: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False, "soft_wrap": True}
out = _Console(**_PLAIN, force_terminal=_TERMINAL)
err = _Console(**_PLAIN, stderr=True, force_terminal=_TERMINAL)


def error(message: str) -> None:
    """Print an error in red on standard error."""
    err.print(Text(message, style="bold red"))


def failure(problem: SpotclusterError, log: Path | None, *, debug: bool) -> None:
    """Print an error that was foreseen: what is wrong, then what to do."""
    if debug:
        err.print(Text("".join(traceback.format_exception(problem))))
    error(problem.message)
    if problem.hint:
        err.print(Text(problem.hint))
    if problem.exit_status == 1 and log:
        err.print(Text(f"The full story is in {log}", style="dim"))


def unforeseen(problem: Exception, log: Path | None, *, debug: bool) -> None:
    """Print an error that is a bug of ours."""
    if debug:
        err.print(Text("".join(traceback.format_exception(problem))))
    error(f"This was not foreseen: {type(problem).__name__}: {problem}")
    err.print(Text(f"It is a bug in spotcluster; the full story is in {log}"))


def document(value: Any) -> None:
    """Print one JSON document, and nothing else, on standard output."""
    click.echo(json.dumps(value, indent=2))


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, keys: int = 1
) -> None:
    """Print a table; `keys` is how many of its first columns say what a row is of."""
    # As it is: rich would take the [ and ] of a config's section for a style. And not as the
    # table's title, which is folded at the table's width.
    if title:
        out.print(Text(title, style="italic"))
    # Where there is no terminal there is no width either: a row is a line.
    console = (
        out
        if out.is_terminal
        else Console(width=_PIPE_WIDTH, highlight=False, emoji=False, force_terminal=_TERMINAL)
    )
    cells = [[Text(cell) for cell in row] for row in rows]
    for part in tables.fitted(columns, cells, console.width, keys=keys):
        console.print(part)


def dollars(price: float | None) -> str:
    """Return a price per hour in words."""
    return "price unknown" if price is None else f"${price:.4f}/h"


def percent(share: float | None) -> str:
    """Return a share in words; nothing where it is not known."""
    return "" if share is None else f"{share:.0%}"


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal; where there is none, refuse unless `yes`.

    Raises
    ------
    click.UsageError
        There is no terminal and no ``--yes``.
    click.exceptions.Exit
        The answer is no, which is status 1 and no interrupt.
    """
    if yes:
        return
    if _IN_A_NOTEBOOK or not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can answer here: say --yes.")
    if not ask(question):
        raise click.exceptions.Exit(1)


def wrong(problem: click.ClickException) -> None:
    """Print what click, or we in its way, found wrong with a command."""
    said = io.StringIO()
    problem.show(said)
    err.print(Text(said.getvalue().rstrip("\n")))


def can_ask() -> bool:
    """Tell whether somebody is there to answer."""
    return sys.stdin.isatty()


def ask(question: str) -> bool:
    """Ask something that may well be answered with no."""
    return click.confirm(in_lines(question, err.width), err=True)


class PlainReporter:
    """A line for each thing that happens, for logs and pipes."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def _line(self, said: str) -> None:
        err.print(Text(f"[{time.monotonic() - self._start:6.1f} s] {said}"))

    def stage(self, alias: str, stage: str) -> None:
        """Print it."""
        self._line(f"{alias}: {stage}")

    def failed(self, alias: str, message: str) -> None:
        """Print it."""
        self._line(f"{alias} FAILED: {message.removeprefix(f'{alias}: ')}")

    def note(self, message: str) -> None:
        """Print it."""
        self._line(message)


class Notes:
    """Says what happens in one line each, where no node changes."""

    def stage(self, alias: str, stage: str) -> None:
        """Nothing: there is none."""

    def failed(self, alias: str, message: str) -> None:
        """Nothing: none can."""

    def note(self, message: str) -> None:
        """Print it."""
        err.print(Text(message))


class LiveReporter:
    """A table of nodes that follows what happens; notes scroll by above it."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._lock = threading.Lock()
        self._nodes: dict[str, list[tuple[str, float]]] = {}
        self.below: RenderableType | None = None

    def stage(self, alias: str, stage: str) -> None:
        """Show it in the node's row."""
        with self._lock:
            self._nodes.setdefault(alias, []).append((stage, time.monotonic()))
            if not self._live.is_started:
                self._live.start()

    def failed(self, alias: str, message: str) -> None:
        """Show it in the node's row, and say why above."""
        self.stage(alias, "failed")
        self._live.console.print(Text(message, style="red"))

    def note(self, message: str) -> None:
        """Print it above the table."""
        self._live.console.print(Text(message))

    def forget(self) -> None:
        """Begin a new table."""
        with self._lock:
            self._nodes.clear()

    def __rich__(self) -> RenderableType:
        with self._lock:
            nodes = {alias: list(stages) for alias, stages in self._nodes.items()}
        shown = Table(box=None, pad_edge=False, show_header=False)
        for alias, stages in sorted(nodes.items(), key=lambda one: (one[0] != "master", one[0])):
            stage, start = stages[-1]
            if stage in _COLOURS and stage != "draining":
                now = f"{stage} after {start - stages[0][1]:.1f} s"
            else:
                now = f"{stage} … {time.monotonic() - start:.0f} s"
            past = [f"{name} {end - begin:.1f}" for (name, begin), (_, end) in pairwise(stages)]
            shown.add_row(
                Text(alias, style="bold"),
                Text(now, style=_COLOURS.get(stage, "cyan")),
                Text(", ".join(past), style="dim", no_wrap=True, overflow="ellipsis"),
            )
        return Group(shown, self.below) if self.below is not None else shown


@contextmanager
def progress() -> Iterator[PlainReporter | LiveReporter]:
    """Show progress: a live table on a terminal, lines elsewhere."""
    if not err.is_terminal:
        yield PlainReporter()
        return
    live = Live(console=err, refresh_per_second=8, transient=False)
    reporter = LiveReporter(live)
    live.update(reporter)
    try:
        yield reporter  # which starts it with the first node: an empty table is an empty line
    finally:
        live.stop()
