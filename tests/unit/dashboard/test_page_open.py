"""An open page, without a server: what it is made of, and what it leaves."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from spotcluster.dashboard import snapshot as snapshots
from spotcluster.dashboard.actions import Asked, Runner
from spotcluster.dashboard.look import Look
from spotcluster.dashboard.snapshot import EngineRow, NodeRow, Snapshot
from spotcluster.published import SILENT

Document: Any = None
Page: Any = None
open_page: Any = None


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """Import Bokeh where these tests run: of each process that collects them it takes a second."""
    global Document, Page, open_page
    from bokeh.document import Document

    from spotcluster.dashboard.page import Page, open_page


class Source:
    """Has a snapshot, and knows what it was asked to do."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.asked: list[Asked] = []

    def want(self, page: str, *, search: str | None, job: int | None) -> None: ...
    def leave(self, page: str) -> None: ...
    def printed(self, job: int) -> str | None: ...

    def carry_out(self, what: Asked) -> None:
        self.asked.append(what)


def test_half_a_character_in_a_parameter_does_not_keep_the_page_from_being_sent() -> None:
    engine = EngineRow(0, "master", 0, busy=True, does="GridSearch: x=\ud83d", seconds=1.0, done=0)
    document = Document()
    open_page(document, Source(Snapshot("mycluster", "us-east-1", 0.0, engines=(engine,))))
    first = document.template_variables["first"].encode()
    assert "x=\ud83d" in json.dumps(json.loads(first), ensure_ascii=False)


def test_a_thousand_nodes_are_removed_at_once() -> None:
    nothing: tuple[Any, ...] = (None,) * 9
    aliases = [f"node{number:03}" for number in range(1, 1001)]
    nodes = tuple(
        NodeRow(one, "ready", "t", "z", True, False, *nothing, "", None) for one in aliases
    )
    source = Source(Snapshot("mycluster", "us-east-1", 0.0, nodes=nodes))
    page = Page("1", source)
    page.bridge.asked = json.dumps({"do": "remove", "nodes": aliases, "n": 1})
    assert [one.words for one in source.asked] == [("removenode", "-y", "mycluster", *aliases)]


def test_what_a_job_prints_is_not_asked_for_once_the_page_is_closed() -> None:
    cluster = cast("Any", SimpleNamespace(name="mycluster", region="us-east-1"))
    look = Look(cluster, cast("Any", None), Runner(()))
    look.want("a", search=None, job=3)
    look.want("b", search=None, job=4)
    look.leave("a")
    assert look._printer.wanted == {4}
    look.leave("b")
    assert look._printer.wanted == set()


def test_search_that_only_the_controller_had_told_of_was_shown_as_running_for_good() -> None:
    cluster = cast("Any", SimpleNamespace(name="mycluster", region="us-east-1"))
    look = Look(cluster, cast("Any", None), Runner(()))
    told = {"id": "abc", "kind": "GridSearch", "state": "running", "done": 1, "total": 2}
    more = {"started": 1.0, "updated": None, "bests": [], "remarks": []}
    look._known["abc"], look._heard["abc"] = snapshots.search({**told, **more}), 1000.0
    look._age(1000.0 + SILENT)
    assert look._known["abc"].state == "running"
    look._age(1000.1 + SILENT)
    assert look._known["abc"].state == "silent"


def test_page_that_has_connected_is_told_again_what_nobody_may_have_heard() -> None:
    source = Source(Snapshot("mycluster", "us-east-1", 0.0))
    page = Page("1", source)
    page.first()
    source.snapshot = Snapshot("mycluster", "us-east-1", 1.0, size=7)
    page.update()  # before anybody listens
    page.bridge.asked = json.dumps({"do": "scheme", "dark": False})
    assert json.loads(page.bridge.said)["parts"].keys() == page.first().keys()
