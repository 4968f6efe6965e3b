"""A search in a notebook: the page itself, and how it is kept up to date by a real kernel."""

from __future__ import annotations

import math
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from spotcluster import notebooks
from spotcluster.search.data.evaluations import Evaluation
from spotcluster.search.results import page as pages
from spotcluster.search.results.page import Showing, page
from spotcluster.search.results.results import Best
from spotcluster.search.results.state import State

EVIL = "</td><script>alert(1)</script>\"'"


def best(score: float, candidate: int = 0, **params: Any) -> Best:
    work = [Evaluation(candidate, 0, score), Evaluation(candidate, 1, score - 0.1)]
    return Best(candidate, params, work, 3)


class Page(HTMLParser):
    """A page as a browser takes it: what is open is closed, and each table has its rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.styles: list[list[str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "wbr":  # it has no end
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.styles.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.styles[-1].append(dict(attrs)["style"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def test_parameters_are_columns_and_scores_stay_on_a_line() -> None:
    bests = [best(0.9, C=10, kernel="rbf"), best(0.8, 1, C=0.123456789, gamma="auto")]
    seen = Page(page(State("GridSearch", 63, 100, {}, bests, score="f1_macro")))
    assert seen.rows == [
        ["", "validation f1_macro", "", "splits", "C", "kernel", "gamma"],
        ["1", "0.85000 ± 0.05000", "", "2/3", "10", "rbf", ""],
        ["2", "0.75000 ± 0.05000", "", "2/3", "0.123457", "", "auto"],
    ]
    for row in seen.styles:
        assert "white-space:nowrap" in row[1]


def test_it_says_what_it_is_how_far_and_who_works() -> None:
    state = State(
        *("GridSearch", 63, 100, {"node001": 2, "node002": 1}),
        about="of SVC on mycluster",
        per_node={"node001": 60, "node003": 3},
        rate=4.1,
        left=9.0,
        remarks=["1 was lost"],
    )
    seen = Page(page(state))
    for part in ("GridSearch of SVC on mycluster", "63/100 (63%)", "4.1/s", "3 engines on 2 nodes"):
        assert part in seen.text
    assert "1 was lost" in seen.text
    assert seen.rows[1:] == [
        ["node001", "", "60", "2 engines"],
        ["node003", "", "3", "gone"],
        ["node002", "", "0", "1 engine"],
    ]
    many = {f"node{number:03}": number for number in range(100)}
    assert "100 nodes, at most 99 evaluations each" in page(State("S", 1, 2, per_node=many))


def test_nothing_that_a_search_says_is_html() -> None:
    state = State(
        *(EVIL, 1, 2, {EVIL: 1}, [best(0.9, **{EVIL: EVIL})], [EVIL]),
        about=EVIL,
        score=EVIL,
        per_node={EVIL: 1},
    )
    seen = Page(page(state))
    assert "script" not in seen.tags
    assert seen.text.count("alert(1)") == 7


@pytest.mark.parametrize("score", [math.nan, -math.inf, math.inf])
def test_scores_that_are_no_numbers_have_no_bar(score: float) -> None:
    seen = Page(page(State("GridSearch", 1, 2, {}, [best(0.9), best(score, 1)])))
    assert "nan" not in page(State("GridSearch", 0, 0, {}, [best(score)]))
    assert len(seen.rows) == 3


def test_elsewhere_than_in_a_notebook_nothing_is_shown() -> None:
    assert not notebooks.is_here()


class Shown:
    """IPython's display, and what it was told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[tuple[str, str, str]] = []
        monkeypatch.setattr(pages, "REFRESH", 0.001)
        monkeypatch.setattr("IPython.display.display", self._tell("display"))
        monkeypatch.setattr("IPython.display.update_display", self._tell("update"))

    def _tell(self, what: str) -> Any:
        def tell(bundle: dict[str, str], *, raw: bool, display_id: str) -> None:
            assert raw
            assert bundle["text/plain"] == "as text"
            self.told.append((what, display_id, bundle["text/html"]))

        return tell


def test_it_is_kept_up_to_date_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(monkeypatch)
    states = [State("GridSearch", done, 3, running=done < 3) for done in (0, 0, 0, 3)]
    showing = Showing("x", lambda: states.pop(0), lambda: "as text", lambda: "last")
    showing.show()
    assert showing._thread is not None
    showing._thread.join(30)
    kinds = [(what, id_) for what, id_, _ in shown.told]
    # What is the same as before is no message.
    assert kinds == [("display", "spotcluster-x"), ("update", "spotcluster-x")]
    assert "0/3" in shown.told[0][2]
    assert shown.told[-1][2] == "last"


def test_looking_takes_a_small_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    Shown(monkeypatch)
    slept: list[float] = []
    monkeypatch.setattr(pages.time, "sleep", slept.append)
    clock = iter(range(100))
    monkeypatch.setattr(pages.time, "monotonic", lambda: float(next(clock)))
    states = [State("S", 0, 1), State("S", 0, 1), State("S", 1, 1, running=False)]
    showing = Showing("x", lambda: states.pop(0), lambda: "as text", lambda: "")
    showing.show()
    assert showing._thread is not None
    showing._thread.join(30)
    assert slept[1] >= 20  # a look took one second and more


SEARCH = """
from concurrent.futures import ThreadPoolExecutor
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from spotcluster.search import GridSearch

class Gated(SVC):
    def fit(self, X, y):
        import pathlib, time
        while not pathlib.Path(GATE).exists():
            time.sleep(0.02)
        return super().fit(X, y)

X, y = load_iris(return_X_y=True)
search = GridSearch(ThreadPoolExecutor(1), Gated(), {"C": [1, 10]}, cv=2).launch(X, y)
"""


def test_in_a_kernel_the_cell_goes_on_while_others_run(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    manager, client = start_new_kernel(kernel_name="python3")
    messages: list[dict[str, Any]] = []

    def run(code: str) -> None:
        client.execute(code)
        reply = client.get_shell_msg(timeout=120)
        assert reply["content"]["status"] == "ok", reply["content"]

    def until(wanted: str) -> dict[str, Any]:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            message = client.get_iopub_msg(timeout=60)
            messages.append(message)
            html = message["content"].get("data", {}).get("text/html", "")
            if wanted in html:
                return message
        raise AssertionError(wanted)

    try:
        run(f"GATE = {str(gate)!r}{SEARCH}")
        run("search")
        first = until("0/4")
        assert first["msg_type"] == "display_data"
        assert first["content"]["data"]["text/plain"].startswith("Progress: 00%")
        run("1 + 1")  # while it runs
        gate.touch()
        last = until("4/4")
        assert last["msg_type"] == "update_display_data"
        assert last["content"]["transient"] == first["content"]["transient"]
        run("search.wait(); search")  # when it has ended, it is a result as any other
        result = until("4/4")
        while result["msg_type"] == "update_display_data":  # the last of the live ones
            result = until("4/4")
        assert result["msg_type"] == "execute_result"
        assert "Progress: 100%" in result["content"]["data"]["text/plain"]
        assert not [one for one in messages if one["msg_type"] in ("error", "stream")]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


PICTURE = """
from spotcluster.search.data.candidates import Candidate
from spotcluster.search.data.evaluations import Evaluation
from spotcluster.search.results import plots

def curve():
    return plots.validation_curve([Candidate({"C": 1}, 0)], [Evaluation(0, 0, 0.5)], "C")
"""


def test_a_picture_that_was_the_value_of_a_cell_was_shown_twice() -> None:
    pytest.importorskip("matplotlib")
    manager, client = start_new_kernel(kernel_name="python3")

    def shown(code: str) -> list[str]:
        told: list[dict[str, Any]] = []
        reply = client.execute_interactive(code, output_hook=told.append, timeout=120)
        assert reply["content"]["status"] == "ok", reply["content"]
        return [one["msg_type"] for one in told if "image/png" in one["content"].get("data", {})]

    try:
        assert shown(f"{PICTURE}\ncurve()") == ["execute_result"]
        assert shown("curve(); curve()") == ["execute_result", "display_data"]
        assert shown("kept = curve()") == ["display_data"]  # as any other of matplotlib's
        assert shown("kept") == ["execute_result"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
