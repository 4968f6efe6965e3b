"""What is shown of a search, and where."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from spotcluster.errors import SearchError
from spotcluster.search.data.evaluations import Evaluation
from spotcluster.search.results import display
from spotcluster.search.results.display import line, picture
from spotcluster.search.results.page import page
from spotcluster.search.results.results import Best
from spotcluster.search.results.state import Meter, State, with_rate

BEST = Best(0, {"C": 1.0, "name": "<b>&[red]"}, [Evaluation(0, 0, 0.9), Evaluation(0, 1, 0.8)], 3)
STATE = State("GridSearch", 63, 100, {"node001": 2, "node002": 1}, [BEST], ["1 was lost"])


class Stub:
    """A search that goes one step on with each wait."""

    def __init__(self, total: int = 3, error: str = "") -> None:
        self.done = 0
        self.total = total
        self.error = error

    def wait(self, timeout: float | None = None) -> bool:
        self.done += 1
        if self.error and self.done == self.total:
            raise SearchError(self.error)
        return self.done == self.total

    def state(self, n_top: int = 5) -> State:
        bests = [BEST][:n_top]
        return State("GridSearch", self.done, self.total, {}, bests, running=self.done < self.total)


def shown(what: Any, **settings: Any) -> str:
    console = Console(file=io.StringIO(), width=120, **settings)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined] # it is a StringIO


def test_a_line_says_all_that_matters() -> None:
    assert line(with_rate(STATE, 4.1)) == (
        "63/100 (63%), 4.1/s, 10 s left, 3 engines on 2 nodes,"
        " best 0.85000 with C=1, name=<b>&[red]"
    )


def test_terminal_picture() -> None:
    text = shown(picture(with_rate(STATE, 4.1)))
    for part in ("GridSearch", "63/100", "4.1/s", "10 s left", "3 engines on 2 nodes", "2/3"):
        assert part in text
    assert "0.85000 ± 0.05000" in text
    assert "[red]" in text  # parameters are no markup
    assert "1 was lost" in text


def test_html_is_escaped() -> None:
    text = page(STATE)
    assert "&lt;b&gt;&amp;" in text
    assert "<b>&" not in text
    assert "width:63%" in text


def test_a_stopped_search_says_so() -> None:
    state = State("GridSearch", 2, 10, running=False)
    assert "stopped" in shown(picture(state))
    assert "engines" not in line(state)
    assert line(State("GridSearch", 0, 0)) == "0/0 (0%), no engines"


def test_without_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    display.watch(Stub(total=50))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("0/50 (0%)")
    assert lines[-1].startswith("50/50 (100%)")
    assert len(lines) == 2  # seconds have not passed
    assert "\x1b" not in "".join(lines)


def test_in_a_terminal_the_last_picture_stays() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    display.watch(Stub(), console=console)
    text = console.file.getvalue()  # type: ignore[attr-defined] # it is a StringIO
    assert "\x1b[?25l" in text
    assert text.rstrip().endswith("\x1b[?25h")  # the cursor is back
    assert "3/3" in text


def test_what_stops_the_search_is_raised_and_the_cursor_is_back() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with pytest.raises(SearchError, match="no disk"):
        display.watch(Stub(error="no disk"), console=console)
    assert console.file.getvalue().rstrip().endswith("\x1b[?25h")  # type: ignore[attr-defined]


def test_watching_has_a_limit() -> None:
    search = Stub(total=10)
    display.watch(search, timeout=0.0, console=Console(file=io.StringIO()))
    assert search.done == 0


def test_in_a_notebook_one_table_is_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []

    class Handle:
        def update(self, thing: Any) -> None:
            seen.append(("update", thing.data))

    def show(thing: Any, *, display_id: bool) -> Handle:
        assert display_id
        seen.append(("display", thing.data))
        return Handle()

    monkeypatch.setattr("IPython.display.display", show)
    display.watch(Stub(), console=Console(force_jupyter=True))
    assert [kind for kind, _ in seen] == ["display", "update", "update", "update"]
    assert "3/3" in seen[-1][1]


@given(st.lists(st.tuples(st.floats(0.01, 10), st.integers(0, 5)), min_size=1, max_size=80))
def test_rate_is_never_beyond_what_was_seen(steps: list[tuple[float, int]]) -> None:
    meter = Meter(window=10)
    now, done = 0.0, 100
    assert meter.rate(now, done) is None
    rates = []
    for seconds, more in steps:
        now, done = now + seconds, done + more
        rates.append(more / seconds)
        rate = meter.rate(now, done)
        assert rate is None or 0 < rate <= max(rates) * (1 + 1e-9)


def test_rate_is_of_the_last_seconds_and_of_this_search() -> None:
    meter = Meter(window=10)
    for second in range(21):
        rate = meter.rate(float(second), 10 * min(second, 10))
    assert rate is None  # nothing in the last ten seconds
    assert meter.rate(21.0, 3) is None  # launched again
    assert meter.rate(23.0, 7) == 2.0


def test_scores_that_are_not_there() -> None:
    best = Best(0, {}, [Evaluation(0, 0, math.nan)], 1)
    assert "(none)" in shown(picture(State("GridSearch", 1, 1, {}, [best])))


def test_an_estimator_among_the_parameters_took_several_lines() -> None:
    model = make_pipeline(StandardScaler(), PCA(n_components=3), SVC(C=3.0, gamma=0.1))
    best = Best(0, {"model": model, "f": np.log1p}, [Evaluation(0, 0, 0.5)], 1)
    text = line(State("GridSearch", 1, 1, {}, [best], [], running=False))
    assert "\n" not in text
    assert text.startswith("1/1 (100%), best 0.50000 with f=log1p, model=Pipeline(steps=")
