"""What is near a ceiling, and what is written down of what was told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from spotcluster.aws.instances import Instance
from spotcluster.cluster import reporter
from spotcluster.cluster.status import events

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Cluster:
    name: str = "c"
    cost: float | None = None
    budget: float | None = None
    max_hours: float | None = None
    up_since: datetime | None = NOW - timedelta(hours=8)
    taken: tuple[Instance, ...] = ()


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (Cluster(), []),
        (Cluster(cost=7.99, budget=10), []),
        (Cluster(cost=8, budget=10), ["80% of the BUDGET of $10 of 'c' is spent"]),
        (Cluster(cost=11, budget=10), ["110% of the BUDGET of $10 of 'c' is spent"]),
        (Cluster(cost=11, budget=10, up_since=None), []),  # what has ended needs no warning
        (Cluster(cost=11), []),
        (Cluster(budget=10), []),
        (Cluster(max_hours=11), []),
        (Cluster(max_hours=10), ["80% of the MAX_HOURS of 10 of 'c' have passed"]),
        (Cluster(cost=9, budget=10, max_hours=9), ["90% of the BUDGET", "89% of the MAX_HOURS"]),
    ],
)
def test_ceilings_used_up_by_80_percent_are_said(cluster: Cluster, said: list[str]) -> None:
    found = events.near_ceiling(cluster, NOW)
    assert len(found) == len(said)
    assert all(one.text.startswith(text) for one, text in zip(found, said, strict=True))
    assert all(one.name == "budget" for one in found)
    assert len({one.key for one in found}) == len(found)


def test_what_was_told_is_read_as_it_was_written_and_the_oldest_is_forgotten() -> None:
    told = {f"{number:06d}": f"{number:03d}" for number in range(100)}
    written = reporter._as_tags(told)
    assert all(len(value) <= 256 for value in written.values())
    assert len(written) == 3
    assert reporter._read(written) == dict(list(told.items())[-84:])
    assert reporter._read({}) == {}
