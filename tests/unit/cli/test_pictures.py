"""The picture of spot prices: what is on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spotcluster.aws.prices import ZoneHistory
from spotcluster.cli import pictures

pytest.importorskip("matplotlib").use("agg")

NOW = datetime.now(UTC)


def zone(name: str, *prices: float) -> ZoneHistory:
    changes = tuple((NOW - timedelta(days=9 - n), price) for n, price in enumerate(prices))
    return ZoneHistory(name, prices[-1], max(prices), 0.05, changes)


@pytest.fixture
def figure() -> Iterator[Any]:
    found = {
        "c5.xlarge": [zone("us-east-1b", 0.07, 0.06), zone("us-east-1a", 0.05, 0.08)],
        "m5.24xlarge": [zone("us-east-1a", 1.5)],
    }
    yield pictures.price_figure("us-east-1", found, 30, {"c5.xlarge": 0.17, "m5.24xlarge": None})
    __import__("matplotlib.pyplot").pyplot.close("all")


def test_the_price_on_demand_is_a_line(figure: Any) -> None:
    first, second = figure.axes
    labels = [text.get_text() for text in first.get_legend().get_texts()]
    assert labels == ["us-east-1a", "us-east-1b", "on demand"]
    assert list(first.lines[-1].get_ydata()) == [0.17, 0.17]
    assert first.get_ylim()[1] > 0.17  # it is in the picture
    # Where AWS does not tell it, there is none.
    assert [text.get_text() for text in second.get_legend().get_texts()] == ["us-east-1a"]


def test_all_that_it_says_is_on_it(figure: Any) -> None:
    figure.canvas.draw()
    assert "us-east-1" in figure.get_suptitle()
    for axis in figure.axes:
        assert axis.get_title(loc="left")
        assert axis.get_ylabel() == "USD per hour"
        for artist in (axis.get_legend(), axis.title, axis.yaxis.label):
            box = artist.get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.x1
            assert box.y1 <= figure.bbox.y1
