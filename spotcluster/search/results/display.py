"""A search followed live: in a terminal, in a notebook, or line by line where neither is."""

from __future__ import annotations

import math
import time
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from spotcluster.search.data.candidates import in_words
from spotcluster.search.results.page import page
from spotcluster.search.results.state import Meter, State, score_in_words, with_rate

REFRESH = 0.25  # seconds between two pictures
LINES = 10.0  # seconds between two lines, where there is no terminal


class Watched(Protocol):
    """What can be followed."""

    def wait(self, timeout: float | None = None) -> bool: ...

    def state(self, n_top: int = 5) -> State: ...


def watch(
    search: Watched,
    *,
    n_top: int = 5,
    timeout: float | None = None,
    console: Console | None = None,
) -> None:
    """Show a search until it has ended; an interrupt ends the showing and not the search.

    Parameters
    ----------
    search : Search
    n_top : int
        How many of the best candidates to show.
    timeout : float, optional
        Seconds to show it at most.
    console : rich.console.Console, optional
        Where to show it; standard output by default.

    Raises
    ------
    SearchError
        If the search cannot go on.
    """
    console = console or Console()
    screen: _Notebook | _Terminal | _Lines
    if console.is_jupyter:
        screen = _Notebook()
    elif console.is_terminal and not console.is_dumb_terminal:
        screen = _Terminal(console)
    else:
        screen = _Lines(console)
    meter = Meter()
    started = time.monotonic()
    end = math.inf if timeout is None else started + timeout

    def look() -> State:
        state = search.state(n_top)
        return with_rate(state, meter.rate(time.monotonic(), state.done))

    screen.show(look())
    try:
        while time.monotonic() < end:
            over = search.wait(max(0.0, min(REFRESH, end - time.monotonic())))
            screen.show(look(), last=over)
            if over:
                break
    finally:
        screen.close()


# --- where it is shown ----------------------------------------------------------------------------


class _Terminal:
    def __init__(self, console: Console) -> None:
        # `transient` would take the last picture away; it is what the user wants to keep.
        self._live = Live(console=console, auto_refresh=False)
        self._live.start()

    def show(self, state: State, *, last: bool = False) -> None:  # noqa: ARG002 - as the others
        self._live.update(picture(state), refresh=True)

    def close(self) -> None:
        self._live.stop()


class _Notebook:
    def __init__(self) -> None:
        self._handle: Any = None
        self._shown = ""

    def show(self, state: State, *, last: bool = False) -> None:  # noqa: ARG002 - as the others
        from IPython.display import HTML, display

        text = page(state)
        if self._handle is None:
            self._handle = display(HTML(text), display_id=True)  # type: ignore[no-untyped-call]
        elif text != self._shown:  # each update is a message to the browser
            self._handle.update(HTML(text))  # type: ignore[no-untyped-call]
        self._shown = text

    def close(self) -> None:
        """Leave the last table as it is."""


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def show(self, state: State, *, last: bool = False) -> None:
        if not last and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINES
        self._console.print(line(state), soft_wrap=True, markup=False, highlight=False)
        if last:
            for remark in state.remarks:
                self._console.print(remark, soft_wrap=True, markup=False, highlight=False)

    def close(self) -> None:
        """Lines stay as they are."""


# --- what is shown --------------------------------------------------------------------------------


def line(state: State) -> str:
    """Return a state in one line."""
    parts = [f"{state.done}/{state.total} ({state.percent}%)", *state.figures]
    if state.bests:
        best = state.bests[0]
        parts.append(f"best {best.validation:.5f} with {_params(best.params)}")
    return ", ".join(parts)


def picture(state: State) -> RenderableType:
    """Return a state for a terminal."""
    head = Table.grid(padding=(0, 2))
    finished = state.total > 0 and state.done >= state.total
    colour = "green" if finished else "cyan" if state.running else "yellow"
    head.add_row(
        Text(state.title, style="bold"),
        ProgressBar(
            total=max(state.total, 1), completed=state.done, width=24, complete_style=colour
        ),
        Text(f"{state.done}/{state.total}", style=colour),
        Text("  ".join(filter(None, [*state.figures, state.ending])), style="dim"),
    )
    parts: list[RenderableType] = [head]
    if state.bests:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name, justify in (("", "right"), ("validation", "left"), ("train", "left")):
            table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type] # a word
        table.add_column("splits", no_wrap=True)
        table.add_column("parameters", overflow="fold")
        for rank, best in enumerate(state.bests, start=1):
            table.add_row(
                str(rank),
                score_in_words(best.validation, best.validation_error),
                score_in_words(best.train, best.train_error),
                f"{best.finished}/{best.splits}",
                Text(_params(best.params)),
                style="bold" if rank == 1 else "",
            )
        parts += [Text(), table]
    if state.remarks:
        parts += [Text(), *(Text(remark, style="yellow") for remark in state.remarks)]
    return Group(*parts)


def _params(params: dict[str, Any]) -> str:
    return ", ".join(f"{name}={in_words(value)}" for name, value in params.items()) or "(none)"
