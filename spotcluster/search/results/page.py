"""A search in a notebook: how far it is and the best so far, as HTML that keeps up with it."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence

from spotcluster import notebooks
from spotcluster.notebooks import AMBER, BAR, BLUE, GREEN, NUMBER, WORD, bar, escaped, table
from spotcluster.search.data.candidates import in_words
from spotcluster.search.results.results import Best
from spotcluster.search.results.state import Meter, State, score_in_words, with_rate

REFRESH = 0.5  # seconds between two looks at a search that is shown
SHARE = 0.05  # of the time that looking may take: ranking very many candidates takes long
_NODES = 12  # that have a bar each; of more, a line says how many there are


def page(state: State) -> str:
    """Return a state as HTML for a notebook."""
    figures = [figure for figure in (*state.figures, state.ending) if figure]
    told = "".join(f" &nbsp; {escaped(figure)}" for figure in figures)
    colour = GREEN if state.done >= state.total else BLUE if state.running else AMBER
    done = 100 * state.done / state.total if state.total else 0.0
    label = f"{state.done} of {state.total} evaluations"
    return notebooks.block(
        f"<div><b>{escaped(state.title)}</b> {escaped(state.about)} &nbsp; "
        f"{state.done}/{state.total} ({state.percent}%)"
        f'<span style="opacity:0.75">{told}</span></div>'
        f'<div style="max-width:40em;margin:4px 0">{bar(done, "100%", colour, label)}</div>',
        _leaders(state.bests, state.score),
        _nodes(state),
        *(notebooks.line(remark, AMBER) for remark in state.remarks),
    )


def _leaders(bests: Sequence[Best], score: str) -> str:
    """Return a row for each of the best, with a column for each parameter."""
    if not bests:
        return ""
    names = list(dict.fromkeys(name for best in bests for name in best.params))
    trained = any(not math.isnan(best.train) for best in bests)
    heads = [("", NUMBER), (f"validation {score}", NUMBER), ("", BAR)]
    heads += [("train", NUMBER)] if trained else []
    heads += [("splits", NUMBER), *((name, WORD) for name in names)]
    known = [best.validation for best in bests if math.isfinite(best.validation)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    rows = []
    for rank, best in enumerate(bests, start=1):
        # From the worst that is shown to the best: what scores have in common says nothing here.
        share = 100.0 if high == low else 20 + 80 * (best.validation - low) / (high - low)
        row = [
            str(rank),
            score_in_words(best.validation, best.validation_error),
            bar(share, "5em", BLUE) if math.isfinite(best.validation) else "",
        ]
        row += [score_in_words(best.train, best.train_error)] if trained else []
        row.append(f"{best.finished}/{best.splits}")
        rows.append(row + [escaped(_value(best, name)) for name in names])
    return table(heads, rows, strong=0)


def _value(best: Best, name: str) -> str:
    return in_words(best.params[name]) if name in best.params else ""


def _nodes(state: State) -> str:
    """Return how many evaluations each node did, and how many engines it has now."""
    names = list(dict.fromkeys([*state.per_node, *state.engines]))
    most = max(state.per_node.values(), default=0)
    if not names:
        return ""
    if len(names) > _NODES:
        return notebooks.line(f"{len(names)} nodes, at most {most} evaluations each")
    heads = (("node", WORD), ("", BAR), ("evaluations", NUMBER), ("", WORD))
    rows = [
        (
            escaped(name),
            bar(100 * state.per_node.get(name, 0) / (most or 1), "10em", GREEN),
            str(state.per_node.get(name, 0)),
            _engines_of(state, name),
        )
        for name in names
    ]
    return table(heads, rows)


def _engines_of(state: State, name: str) -> str:
    if not state.running:
        return ""
    count = state.engines.get(name, 0)
    return f"{count} engine{'' if count == 1 else 's'}" if count else "gone"


class Showing:
    """A search in the cells of a notebook where it was shown, renewed until it has ended.

    Parameters
    ----------
    id : str
        What tells it from others in this notebook.
    look : callable
        Gives the state of the search.
    text : callable
        Gives what is shown where there is no HTML.
    last : callable
        Gives, as HTML, what is left of it when it has ended.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - what it is
        look: Callable[[], State],
        text: Callable[[], str],
        last: Callable[[], str],
    ) -> None:
        self._id = f"spotcluster-{id}"
        self._look = look
        self._text = text
        self._last = last
        self._meter = Meter()
        self._thread: threading.Thread | None = None
        self._shown = ""

    def show(self) -> None:
        """Show it in this cell too."""
        from IPython.display import display

        self._shown = page(self._rated(self._look()))
        display(self._bundle(), raw=True, display_id=self._id)  # type: ignore[no-untyped-call]
        if self._thread is None or not self._thread.is_alive():
            # Its messages name the display; they are no output of the cell that runs meanwhile.
            self._thread = threading.Thread(target=self._renew, name=self._id, daemon=True)
            self._thread.start()

    def _bundle(self) -> dict[str, str]:
        return {"text/plain": self._text(), "text/html": self._shown}

    def _rated(self, state: State) -> State:
        return with_rate(state, self._meter.rate(time.monotonic(), state.done))

    def _renew(self) -> None:
        from IPython.display import update_display

        pause = REFRESH
        # The kernel may end at any moment, and what is shown is worth no traceback.
        with contextlib.suppress(Exception):
            while True:
                time.sleep(pause)
                begin = time.monotonic()
                state = self._look()
                html = page(self._rated(state)) if state.running else self._last()
                if html != self._shown:  # each one is a message to the browser
                    self._shown = html
                    update_display(self._bundle(), raw=True, display_id=self._id)  # type: ignore[no-untyped-call]
                if not state.running:
                    return
                pause = max(REFRESH, (time.monotonic() - begin) / SHARE)
