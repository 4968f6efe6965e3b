"""A search followed live: in a terminal, in a notebook, or line by line where neither is."""

from __future__ import annotations

import html
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from spotcluster.search.data.candidates import in_words
from spotcluster.search.results.results import Best
from spotcluster.wording import time_left

WINDOW = 30.0  # seconds over which the rate is measured
REFRESH = 0.25  # seconds between two pictures
LINES = 10.0  # seconds between two lines, where there is no terminal


@dataclass(frozen=True)
class State:
    """What is shown of a search.

    Attributes
    ----------
    title : str
        What kind of search it is.
    done, total : int
        Evaluations.
    engines : dict
        How many engines there are now, by the name of their host.
    bests : sequence of Best
    remarks : sequence of str
    running : bool
    rate : float or None
        Evaluations a second.
    left : float or None
        Seconds until the end, at this rate.
    """

    title: str
    done: int
    total: int
    engines: dict[str, int] = field(default_factory=dict)
    bests: Sequence[Best] = ()
    remarks: Sequence[str] = ()
    running: bool = True
    rate: float | None = None
    left: float | None = None

    @property
    def percent(self) -> int:
        return 100 * self.done // self.total if self.total else 0

    @property
    def figures(self) -> list[str]:
        """The rate, the time left and the engines, in words."""
        figures = []
        if self.rate:
            figures.append(_rate(self.rate))
        if self.running:
            figures.append("" if self.left is None else f"{time_left(self.left)} left")
            figures.append(_engines(self.engines))
        return [figure for figure in figures if figure]


class Watched(Protocol):
    """What can be followed."""

    def wait(self, timeout: float | None = None) -> bool: ...

    def state(self, n_top: int = 5) -> State: ...


class Meter:
    """How fast it goes, over the last seconds; what was finished before a resume does not count.

    Examples
    --------
    >>> meter = Meter(window=30)
    >>> meter.rate(0.0, 10)
    >>> meter.rate(2.0, 14)
    2.0
    """

    def __init__(self, window: float = WINDOW) -> None:
        self.window = window
        self._seen: deque[tuple[float, int]] = deque()

    def rate(self, now: float, done: int) -> float | None:
        """Take note of how many are done; return how many a second, None when it is not known."""
        if self._seen and done < self._seen[-1][1]:  # another search now
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - self.window:
            self._seen.popleft()
        then, before = self._seen[0]
        return (done - before) / (now - then) if done > before and now > then else None


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


def with_rate(state: State, rate: float | None) -> State:
    """Return the state with a rate, and the time left that follows from it."""
    left = (state.total - state.done) / rate if rate else None
    return State(**{**vars(state), "rate": rate, "left": left})


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
        Text("  ".join(state.figures) + _ending(state), style="dim"),
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
                _score(best.validation, best.validation_error),
                _score(best.train, best.train_error),
                f"{best.finished}/{best.splits}",
                Text(_params(best.params)),
                style="bold" if rank == 1 else "",
            )
        parts += [Text(), table]
    if state.remarks:
        parts += [Text(), *(Text(remark, style="yellow") for remark in state.remarks)]
    return Group(*parts)


def page(state: State) -> str:
    """Return a state as HTML for a notebook."""
    text = html.escape
    figures = text("  ".join(state.figures) + _ending(state)).replace("  ", " &nbsp; ")
    colour = "#2da44e" if state.done >= state.total else "#1f6feb" if state.running else "#bf8700"
    rows = "".join(
        f"<tr><td>{rank}</td><td>{_score(best.validation, best.validation_error)}</td>"
        f"<td>{_score(best.train, best.train_error)}</td><td>{best.finished}/{best.splits}</td>"
        f'<td style="text-align:left"><code>{text(_params(best.params))}</code></td></tr>'
        for rank, best in enumerate(state.bests, start=1)
    )
    table = (
        "<table><thead><tr><th>rank</th><th>validation</th><th>train</th><th>splits</th>"
        f'<th style="text-align:left">parameters</th></tr></thead><tbody>{rows}</tbody></table>'
    )
    remarks = "".join(
        f'<div style="color:#bf8700">{text(remark)}</div>' for remark in state.remarks
    )
    return (
        '<div style="font-family:sans-serif">'
        f"<div><b>{text(state.title)}</b> &nbsp; {state.done}/{state.total} ({state.percent}%)"
        f' &nbsp; <span style="opacity:0.7">{figures}</span></div>'
        '<div style="background:#8884;height:6px;width:24em;border-radius:3px;margin:4px 0">'
        f'<div style="background:{colour};height:6px;width:{state.percent}%;border-radius:3px">'
        f"</div></div>{table if state.bests else ''}{remarks}</div>"
    )


def _ending(state: State) -> str:
    return "" if state.running or state.done >= state.total else "  stopped"


def _rate(rate: float) -> str:
    if rate >= 10:
        return f"{rate:.0f}/s"
    return f"{rate:.1f}/s" if rate >= 0.5 else f"{60 * rate:.1f}/min"


def _engines(engines: dict[str, int]) -> str:
    count, nodes = sum(engines.values()), len(engines)
    if not count:
        return "no engines"
    return f"{count} engine{'s' * (count > 1)} on {nodes} node{'s' * (nodes > 1)}"


def _score(mean: float, error: float) -> str:
    if math.isnan(mean):
        return "-"
    return f"{mean:.5f}" if math.isnan(error) else f"{mean:.5f} ± {error:.5f}"


def _params(params: dict[str, Any]) -> str:
    return ", ".join(f"{name}={in_words(value)}" for name, value in params.items()) or "(none)"
