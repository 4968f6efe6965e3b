"""What engines have done over time, by what the controller said at each look."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from spotcluster.cluster.status.controller import Engine, Message
from spotcluster.dashboard.figures import LANES, WorkFigure
from spotcluster.dashboard.snapshot import Snapshot
from spotcluster.dashboard.work import BINS, WINDOW, Piece, Work

AT = 1_800_000_000.0
LANE = ("node001", 1)


def engine(since: float | None = None, search: str = "", number: int = 1) -> Engine:
    message = None
    if since is not None:
        label: dict[str, Any] = {"search": search} if search else {}
        message = Message(datetime.fromtimestamp(since, UTC), label)
    return Engine(number, "node001", number, 0, int(message is not None), message)


@pytest.fixture
def work() -> Work:
    return Work()


def test_work_lasts_from_its_message_to_the_next_one(work: Work) -> None:
    work.see([engine(AT - 5)], AT)
    assert work.pieces(LANE) == [Piece(AT - 5, None, "")]
    work.see([engine(AT + 1)], AT + 2)
    assert work.pieces(LANE) == [Piece(AT - 5, AT + 1, ""), Piece(AT + 1, None, "")]
    work.see([engine()], AT + 4)
    assert work.pieces(LANE)[-1] == Piece(AT + 1, AT + 4, "")


def test_what_a_ledger_says_better_is_left_out_once_it_has_ended(work: Work) -> None:
    work.see([engine(AT - 5, "abc")], AT)
    work.see([engine(AT, "abc")], AT + 1)
    assert work.pieces(LANE, ["abc"]) == [Piece(AT, None, "abc")]


def test_engine_that_goes_takes_its_work_along_and_may_come_again(work: Work) -> None:
    work.see([engine(AT - 5)], AT)
    work.see([], AT + 2)
    assert work.pieces(LANE) == [Piece(AT - 5, AT + 2, "")]
    work.see([engine()], AT + 9)
    stays = [(one.joined, one.left, one.at_first) for one in work.stays(LANE)]
    assert stays == [(AT, AT + 2, True), (AT + 9, None, False)]


def test_what_was_long_ago_is_forgotten(work: Work) -> None:
    work.see([engine(AT - 5)], AT)
    work.see([], AT + 1)
    work.see([engine(None, number=2)], AT + 3 * WINDOW)
    assert work.lanes() == [("node001", 2)]


def test_share_of_the_engines_of_a_node_that_are_busy(work: Work) -> None:
    work.see([engine(AT), engine(None, number=2)], AT)
    nodes, share = work.by_node(AT)
    assert nodes == ["node001"]
    assert share[0, BINS - 1] == 0.5
    assert np.isnan(share[0, : BINS - 1]).all()


def test_many_engines_without_a_controller_were_nan_percent_busy(work: Work) -> None:
    work.see([engine(None, number=one) for one in range(1, LANES + 2)], AT)
    words = WorkFigure().show(Snapshot("c", "local", AT + 60, work=work))
    assert words.endswith("None is there now.")
