"""The page of a made-up cluster in Chromium: what it shows, and what is done from it."""

from __future__ import annotations

import importlib.util
import itertools
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up import MadeUp, served
from pages import Opened
from selenium.webdriver.common.keys import Keys

from spotcluster.dashboard.server import Served

Browse = Callable[..., Opened]


@pytest.fixture(scope="module")
def source() -> MadeUp:
    return MadeUp()


@pytest.fixture(scope="module")
def dashboard(source: MadeUp) -> Iterator[Served]:
    with served(source) as found:
        yield found


@pytest.fixture
def page(browse: Browse, dashboard: Served, source: MadeUp) -> Opened:
    source.asked.clear()
    return browse(dashboard.url).connected()


def axe() -> str:
    """Return the program of axe-core: of a package whose own imports are not needed."""
    found = importlib.util.find_spec("axe_playwright_python")
    assert found, "`.ci/run dashboard` brings axe-core; it is in the package axe-playwright-python."
    assert found.origin
    return Path(found.origin).with_name("axe.min.js").read_text("utf-8")


def serious(page: Opened) -> list[str]:
    """Return what axe-core finds that is serious or worse."""
    page.js(axe())
    found = page.browser.execute_async_script(
        "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(done)"
    )
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def test_page_shows_the_cluster(page: Opened) -> None:
    assert page.text("#name") == "mycluster"
    assert page.text("#state") == "running"
    names = [row[1] for row in page.rows("nodes")]
    assert names == ["master", "node001", "node002", "node003"]
    assert "unreachable" in page.rows("nodes")[3][2]
    assert "it does not answer" in page.text("#remarks")
    assert "$16.79 left of $20.00" in page.text("#figures")
    assert len(page.rows("engines")) == 8
    assert "GridSearch: C=0.1" in page.rows("engines")[0][3] + page.rows("engines")[1][3]
    assert "of 200 evaluations" in page.text("#search")
    assert [row[0] for row in page.rows("jobs")] == ["2", "1"]
    assert page.rows("events")[0][1] == "node003 has joined (ready)."


def test_page_goes_on_by_itself(page: Opened) -> None:
    before = page.updates()
    figures = page.text("#figures")
    page.wait("three more updates", lambda: page.updates() > before + 3)
    page.wait("other figures", lambda: page.text("#figures") != figures)


def test_plots_have_what_the_search_has_found(page: Opened) -> None:
    page.wait("scores over time", lambda: len(page.plotted("time", "y")) >= 120)
    assert len(page.plotted("box", "median")) > 0
    assert len(page.plotted("curve", "y")) == 5 + 5 + 5  # line, dots and stars
    assert page.plotted("work", "left")
    page.js(
        "const choice = document.getElementById('parameter'); choice.value = 'kernel';"
        "choice.dispatchEvent(new Event('change'))"
    )
    page.wait("the other parameter", lambda: "kernel" in page.text("[data-caption-text=curve]"))
    assert len(page.plotted("curve", "y")) == 2 + 2 + 2


def test_finished_search_is_shown_when_it_is_chosen(page: Opened) -> None:
    page.js(
        "const choice = document.getElementById('choice'); choice.value = 's0';"
        "choice.dispatchEvent(new Event('change'))"
    )
    page.wait("the other search", lambda: "RandomizedSearch" in page.text("#search"))
    assert "finished" in page.text("#search")
    assert not page.all("[data-action=abort]")


def test_nodes_that_leave_are_gone_and_said(browse: Browse) -> None:
    source = MadeUp()
    with served(source) as dashboard:
        page = browse(dashboard.url).connected()
        page.click('[data-key="choose node001"]')
        page.click('[data-key="choose node002"]')
        page.wait("the choice", lambda: "Remove 2 chosen nodes" in page.text("#remove"))
        source.lose("node002")
        page.wait("a row less", lambda: "node002" not in str(page.rows("nodes")))
        page.wait("that it is said", lambda: "node002 was taken back" in page.text("#live"))
        assert "node002 was taken back" in page.rows("events")[0][1]
        page.wait("its mark", lambda: "diamond" in page.plotted("work", "marker"))
        assert "Remove 1 chosen node " in page.text("#remove")
        assert page.one('[data-key="choose node001"]').is_selected()


def test_what_a_page_shows_may_be_anything_and_is_text(page: Opened) -> None:
    assert page.rows("jobs")[1][2] == "python <b>first.py</b>"
    page.click('[data-key="log 2"]')
    page.wait("the log", lambda: "<script>alert(1)</script>" in page.text("#log-text"))
    page.click("#close-log")
    page.wait("its end", lambda: not page.one("#log").is_displayed())


def test_traceback_of_a_failure_opens_and_closes(page: Opened) -> None:
    more = "#failures-section tbody button"
    page.click(more)
    page.wait("the traceback", lambda: "svm.py" in page.text("#failures-section tbody pre"))
    assert page.one(more).get_attribute("aria-expanded") == "true"
    page.click(more)
    page.wait("its end", lambda: not page.all("#failures-section tbody pre"))


def test_table_is_sorted_and_looked_through(page: Opened) -> None:
    page.click('[data-table=nodes] [data-key="sort node"]')
    page.wait("the other order", lambda: page.rows("nodes")[0][1] == "node003")
    heads = page.all("[data-table=nodes] thead th[aria-sort=descending]")
    assert [one.text for one in heads] == ["Node ▼"]
    page.type("#find-failures", "C=19")
    page.wait("one row", lambda: len(page.rows("failures")) == 1)
    page.type("#find-failures", "nothing of this")
    page.wait("none", lambda: "Nothing here" in page.rows("failures")[0][0])


def confirmed(page: Opened, action: str, **fields: str) -> str:
    """Ask for an action, fill in its dialog, and confirm; return what the dialog has said."""
    page.click(f"[data-action={action}]")
    page.wait("the dialog", lambda: page.one("#dialog").is_displayed())
    said = str(page.one("#dialog").text)
    for name, text in fields.items():
        page.type(f"#dialog-fields [name={name}]", text)
    page.click("#dialog-do")
    return said


def test_each_action_asks_again_and_is_the_command(page: Opened, source: MadeUp) -> None:
    said = confirmed(page, "add", count="2", bid="0.5")
    assert "$0.1231/h" in said
    said = confirmed(page, "postpone", time="2h")
    assert "idle time" in said
    page.click('[data-key="choose node001"]')
    said = confirmed(page, "remove")
    assert "Remove node001?" in said
    said = confirmed(page, "abort")
    assert "resumed from its ledger" in said
    said = confirmed(page, "terminate", name="mycluster")
    assert "All 4 nodes" in said
    assert "$3.21 so far" in said
    page.wait("the five commands", lambda: len(source.asked) == 5)
    assert [one.words for one in source.asked] == [
        ("addnode", "-s", "2", "-b", "0.5", "mycluster"),
        ("autostop", "mycluster", "2h"),
        ("removenode", "-y", "mycluster", "node001"),
        ("abort", "-y", "mycluster", "s1"),
        ("terminate", "-y", "mycluster"),
    ]
    page.wait("that they are shown", lambda: "It is done." in page.text("#doings"))


def test_action_that_is_cancelled_does_nothing(page: Opened, source: MadeUp) -> None:
    page.click("[data-action=add]")
    page.click("#dialog-cancel")
    page.click("[data-action=terminate]")
    page.press(Keys.ESCAPE)
    page.wait("no dialog", lambda: not page.one("#dialog").is_displayed())
    assert page.focused().startswith("Terminate")
    assert source.asked == []


def test_what_makes_no_sense_is_said_in_the_dialog(page: Opened, source: MadeUp) -> None:
    confirmed(page, "terminate", name="another")
    page.wait("why not", lambda: "Type the cluster's name" in page.text("#dialog-error"))
    page.click("#dialog-cancel")
    confirmed(page, "add", count="1", bid="cheap")
    page.wait("why not", lambda: "no price" in page.text("#dialog-error"))
    assert source.asked == []


def test_everything_is_done_with_the_keyboard_alone(page: Opened, source: MadeUp) -> None:
    page.tab_to("Skip to the content", 3)
    page.tab_to("Add nodes")
    page.press(Keys.ENTER)
    page.wait("the dialog", lambda: page.one("#dialog").is_displayed())
    page.press("3", Keys.ENTER)
    page.wait("the command", lambda: source.asked)
    assert source.asked[0].words == ("addnode", "-s", "3", "mycluster")
    page.wait("the focus back", lambda: page.focused().startswith("Add nodes"))
    page.tab_to("Choose node001", 120)
    page.press(" ")
    page.wait("the choice", lambda: "Remove 1 chosen node" in page.text("#remove"))
    # What is drawn anew keeps the focus and the choice.
    source.busy -= 1
    page.wait("other nodes", lambda: f"{source.busy} of 5 busy" in str(page.rows("nodes")))
    assert page.focused() == "Choose node001"
    assert page.one('[data-key="choose node001"]').is_selected()
    page.tab_to("Log of job 2", 60)
    page.press(Keys.ENTER)
    page.wait("the log", lambda: "fold 1" in page.text("#log-text"))


def test_focus_can_be_seen(page: Opened) -> None:
    page.tab_to("Add nodes")
    style = "return getComputedStyle(document.activeElement).outlineStyle"
    width = "return parseFloat(getComputedStyle(document.activeElement).outlineWidth)"
    assert (page.js(style), page.js(width)) == ("solid", 3)


def luminance(page: Opened) -> float:
    script = "return getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
    return float(sum(page.js(script)))


def test_page_is_dark_where_the_computer_is(browse: Browse, dashboard: Served) -> None:
    page = browse(dashboard.url, dark=True).connected()
    assert luminance(page) < 150
    colour = (
        "return Bokeh.documents[0].get_model_by_name('time').below[0].major_label_text_color.value"
        " ?? Bokeh.documents[0].get_model_by_name('time').below[0].major_label_text_color"
    )
    page.wait("light labels", lambda: "9da7b3" in str(page.js(colour)).lower())
    assert serious(page) == []


@pytest.mark.parametrize("width", [400, 768, 1280, 1920, 2560])
def test_page_fits_its_window(browse: Browse, dashboard: Served, width: int) -> None:
    page = browse(dashboard.url, width=width).connected()
    assert page.js("return document.documentElement.scrollWidth") <= width
    outside = page.js(
        "const said = 'h1, h2, h3, p, li, button, dd, dt, label, figcaption';"
        "return [...document.querySelectorAll(said)]"
        ".filter(one => one.offsetParent && !one.closest('.scroll, nav, .unseen'))"
        ".filter(one => one.getBoundingClientRect().right > innerWidth + 1"
        " || one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display != 'inline'"
        " && getComputedStyle(one).overflow != 'visible')"
        ".map(one => one.textContent.slice(0, 40))"
    )
    assert outside == []
    assert serious(page) == []


def test_dialog_has_no_serious_finding(page: Opened) -> None:
    page.click("[data-action=terminate]")
    assert serious(page) == []


def test_nothing_is_asked_for_outside_and_nothing_is_wrong(
    browse: Browse, dashboard: Served
) -> None:
    page = browse(dashboard.url).connected()
    before = page.updates()
    page.wait("updates", lambda: page.updates() > before + 3)
    assert page.requested() == {f"127.0.0.1:{dashboard.port}"}
    assert page.console() == []


def test_headings_go_down_step_by_step(page: Opened) -> None:
    levels = page.js(
        "return [...document.querySelectorAll('h1, h2, h3')].filter(one => !one.closest('dialog'))"
        ".map(one => Number(one.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_dashboard_that_says_nothing_is_said_to_and_comes_back(browse: Browse) -> None:
    source = MadeUp()
    with served(source) as dashboard:
        page = browse(dashboard.url).connected()
        source.asleep = True
        page.wait("that it is old", lambda: "What is shown is old" in page.text("#stale"))
        source.asleep = False
        page.wait("that it is not", lambda: not page.one("#stale").is_displayed())
        page.connected()


def test_cluster_that_is_no_more_is_said_and_nothing_can_be_done(browse: Browse) -> None:
    source = MadeUp()
    with served(source) as dashboard:
        page = browse(dashboard.url).connected()
        source.frozen = {"gone": "The cluster 'mycluster' has been terminated."}
        page.wait("that it is said", lambda: "has been terminated" in page.text("#stale"))
        assert not page.one("[data-action=add]").is_enabled()


def status_of(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_two_dashboards_are_open_side_by_side(browse: Browse, dashboard: Served) -> None:
    other = MadeUp(nodes=2, name="other")
    with served(other) as second:
        page = browse(dashboard.url).connected()
        page.js("window.open(arguments[0])", second.url)
        first, new = page.browser.window_handles
        page.browser.switch_to.window(new)
        page.connected()
        assert page.text("#name") == "other"
        assert len(page.rows("nodes")) == 2
        page.browser.close()
        page.browser.switch_to.window(first)
        before = page.updates()
        page.wait("updates", lambda: page.updates() > before + 2)
        token = second.url.partition("?")[2]
        assert status_of(f"{dashboard.url.partition('?')[0]}?{token}") == 403


def test_large_cluster(browse: Browse, shown: Callable[[str], None]) -> None:
    source = MadeUp(nodes=1000, engines_per_node=5)
    with served(source) as dashboard:
        page = browse(dashboard.url).connected()
        assert "1 to 25 of 5,000" in page.text("[data-table=engines] .pages")
        page.click('[data-table=nodes] [aria-label="Nodes: rows after"]')
        page.wait("the next rows", lambda: page.rows("nodes")[0][1] == "node025")
        page.type("#find-engines", "node999")
        page.wait("its engines", lambda: len(page.rows("engines")) == 5)
        assert "1,000 nodes" in page.text("[data-caption-text=work]")
        before = page.updates()
        page.wait("updates", lambda: page.updates() > before + 10)
        assert page.console() == []
        paint, long = figures(page)
        shown(
            f"Dashboard of 1,000 nodes and 5,000 engines: first paint after {paint:.0f} ms, the"
            f" longest time that an update kept the main thread {long:.0f} ms"
        )


def figures(page: Opened) -> tuple[float, float]:
    """Return when the page was painted first, and how long the longest update took."""
    paint: Any = page.js(
        "return performance.getEntriesByName('first-contentful-paint')[0].startTime"
    )
    long: Any = page.js(
        "return Math.max(...performance.getEntriesByName('spotcluster update')"
        ".slice(3).map(one => one.duration))"
    )
    return float(paint), float(long)
