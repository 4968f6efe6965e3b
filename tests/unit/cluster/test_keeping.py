"""What a keeper decides by what it sees."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from spotcluster.cluster.lifecycle.keeping.acting import Flight
from spotcluster.cluster.lifecycle.keeping.decision import (
    LINGERS,
    SILENT,
    Past,
    Phase,
    Queue,
    Rules,
    Seen,
    Worker,
    decide,
)
from spotcluster.cluster.lifecycle.keeping.keeper import Backoff
from spotcluster.cluster.lifecycle.keeping.observation import Meter

A, B = ("c5.large", "us-east-1a"), ("c5.large", "us-east-1b")


def worker(number: int, phase: Phase = Phase.READY, **more: Any) -> Worker:
    return Worker(f"node{number:03d}", f"i-{number}", more.pop("pool", A), phase, **more)


def cluster(ready: int, **more: Any) -> Seen:
    """Return a cluster with a master and so many workers of two engines each, all there."""
    workers = [worker(number) for number in range(1, ready + 1)]
    return Seen(1 + ready, workers, engines_each=2, **more)


def with_workers(seen: Seen, *workers: Worker) -> Seen:
    changed = {one.alias: one for one in workers}
    return replace(seen, workers=[changed.get(one.alias, one) for one in seen.workers])


def test_nothing_is_done_for_a_cluster_that_has_its_size() -> None:
    assert decide(cluster(2), Rules()).does_nothing
    assert decide(cluster(0), Rules()).does_nothing
    assert decide(with_workers(cluster(1), worker(1, Phase.COMING)), Rules()).does_nothing


def test_node_taken_back_is_replaced_at_once_and_from_another_pool() -> None:
    seen = with_workers(cluster(3), worker(2, Phase.TAKEN, pool=B, bid=0.5))
    done = decide(seen, Rules())
    assert [(one.alias, why) for one, why in done.lost] == [("node002", "EC2 takes it back")]
    assert (done.size, done.avoid, done.bid) == (4, {B}, 0.5)
    assert done.failed == ()  # what runs there has its two minutes
    assert done.why == "4 nodes are wanted, 3 are there"


def test_node_that_may_be_taken_back_is_replaced_and_told_to_begin_nothing_new() -> None:
    seen = with_workers(cluster(2), worker(2, Phase.TAKEN, pool=B, early=True, drains=False))
    done = decide(seen, Rules())
    assert [why for _, why in done.lost] == ["EC2 says that it may take it back soon"]
    assert (done.size, done.avoid, done.failed, done.drain) == (3, {B}, (), ("node002",))
    # So it is where a keeper was killed before it told the node.
    seen = with_workers(cluster(2), worker(2, Phase.LEAVING, lost=3.0, drains=False))
    assert decide(replace(seen, asked=1), Rules()).drain == ("node002",)
    by_hand = with_workers(cluster(2), worker(2, Phase.LEAVING, drains=False))
    assert decide(by_hand, Rules()).drain == ()  # `removenode` does it


def test_all_that_are_taken_back_at_once_are_replaced_at_once() -> None:
    seen = replace(cluster(3), workers=[worker(n, Phase.TAKEN) for n in (1, 2, 3)])
    done = decide(seen, Rules())
    assert (len(done.lost), done.size) == (3, 4)
    assert done.why == "4 nodes are wanted, 1 are there"


def test_node_that_is_written_down_as_lost_is_not_replaced_twice() -> None:
    seen = with_workers(cluster(2), worker(2, Phase.LEAVING, pool=B, lost=3.0))
    assert decide(seen, Rules()).size == 3
    assert decide(seen, Rules()).avoid == {B}
    assert decide(replace(seen, asked=1), Rules()).does_nothing
    there = replace(seen, workers=[*seen.workers, worker(3, Phase.COMING)])
    assert decide(there, Rules()).does_nothing


def test_node_lost_while_its_replacement_is_made_is_replaced_too() -> None:
    seen = replace(
        cluster(2),
        workers=[worker(1, Phase.TAKEN), worker(2, Phase.LEAVING, lost=9), worker(3, Phase.COMING)],
    )
    done = decide(seen, Rules())
    assert ([one.alias for one, _ in done.lost], done.size) == (["node001"], 3)


def test_node_that_has_ended_is_replaced_with_its_bid() -> None:
    seen = replace(cluster(1, ended=[(B, 0.25), (None, 0.75)]), size=3)
    done = decide(seen, Rules())
    assert (done.size, done.bid, done.avoid) == (3, 0.25, {B})
    assert decide(replace(seen, ended=[(None, None)]), Rules()).bid is None


def test_node_that_removenode_takes_out_is_not_replaced() -> None:
    seen = with_workers(cluster(2), worker(2, Phase.LEAVING))
    assert decide(replace(seen, size=2), Rules()).does_nothing


def test_node_that_answers_nobody_is_terminated_and_replaced_after_a_while() -> None:
    early = with_workers(cluster(2), worker(1, silent=SILENT - 1))
    assert decide(early, Rules()).does_nothing
    done = decide(with_workers(cluster(2), worker(1, silent=SILENT)), Rules())
    assert [one.alias for one in done.failed] == ["node001"]
    assert done.size == 3
    assert done.lost[0][1] == "it has answered nobody for 3 min 00 s"


def test_node_that_was_not_taken_back_after_all_is_terminated() -> None:
    seen = with_workers(cluster(2), worker(2, Phase.LEAVING, lost=LINGERS))
    seen = replace(seen, size=2)
    assert [one.alias for one in decide(seen, Rules()).failed] == ["node002"]
    early = with_workers(seen, worker(2, Phase.LEAVING, lost=LINGERS - 1))
    assert decide(early, Rules()).failed == ()


def test_nothing_is_asked_for_after_a_failure_until_its_time_and_losses_are_noted() -> None:
    seen = with_workers(cluster(2), worker(1, Phase.TAKEN))
    done = decide(seen, Rules(), Past(wait=3.0))
    assert (len(done.lost), done.size) == (1, None)


def test_addition_that_was_cut_off_is_gone_on_with() -> None:
    seen = replace(cluster(2), cut_off=2)
    assert decide(seen, Rules()).size == 3
    assert "cut off" in decide(seen, Rules()).why


@pytest.mark.parametrize(
    ("least", "most", "size"), [(None, None, None), (5, None, 5), (2, None, None), (5, 9, 5)]
)
def test_least_size(least: int | None, most: int | None, size: int | None) -> None:
    assert decide(cluster(2), Rules(least, most)).size == size


# With --max.

GROWING = Rules(most=10, target=900.0, idle=300.0, pause=180.0)


def test_without_max_the_queue_changes_nothing() -> None:
    seen = cluster(2, queue=Queue(10_000, 60.0))
    assert decide(seen, Rules()).does_nothing
    idle = with_workers(cluster(1, queue=Queue(0, None)), worker(1, idle=1e6))
    assert decide(idle, Rules()).does_nothing


@pytest.mark.parametrize(
    ("evaluations", "seconds", "on_master", "size"),
    [
        (90, 60.0, 0, 4),  # 5400 s of work in 900 s: 6 engines, 3 workers
        (90, 60.0, 2, None),  # of which the master has 2: 2 workers, that there are
        (91, 60.0, 0, 5),  # a little more: 7 engines
        (100_000, 60.0, 0, 10),  # not more than --max
        (5, 3600.0, 0, 4),  # not more engines than evaluations
        (90, 1.0, 0, None),
    ],
)
def test_grows_by_the_work_that_waits(
    evaluations: int, seconds: float, on_master: int, size: int | None
) -> None:
    seen = cluster(2, queue=Queue(evaluations, seconds), engines_on_master=on_master)
    assert decide(seen, GROWING).size == size


@pytest.mark.parametrize(("target", "size"), [(300.0, 10), (900.0, 4), (1800.0, 3), (5400.0, None)])
def test_the_shorter_the_target_the_more_nodes(target: float, size: int | None) -> None:
    seen = cluster(1, queue=Queue(90, 60.0))
    assert decide(seen, replace(GROWING, target=target)).size == size


def test_grows_by_one_while_no_duration_is_known() -> None:
    assert decide(cluster(2, queue=Queue(50, None)), GROWING).size == 4


def test_grows_by_steps() -> None:
    seen = cluster(2, queue=Queue(100_000, 60.0))
    assert decide(seen, replace(GROWING, step=2)).size == 5


def test_pauses_between_changes_but_replaces() -> None:
    seen = cluster(2, queue=Queue(100_000, 60.0))
    assert decide(seen, GROWING, Past(changed=179)).size is None
    assert decide(seen, GROWING, Past(changed=180)).size == 10
    lost = with_workers(seen, worker(2, Phase.TAKEN))
    assert decide(lost, GROWING, Past(changed=1)).size == 3


def test_what_has_been_asked_for_is_not_asked_for_again() -> None:
    seen = cluster(2, queue=Queue(90, 60.0), asked=1)
    assert decide(seen, GROWING).size is None


def test_shrinks_idle_workers_the_longest_idle_first_never_those_that_run() -> None:
    seen = with_workers(
        cluster(4, queue=Queue(2, 10.0)), worker(2, idle=400), worker(3, idle=500), worker(4)
    )
    assert decide(seen, GROWING).leave == ("node003", "node002")
    assert decide(seen, replace(GROWING, least=4)).leave == ("node003",)
    assert decide(seen, GROWING, Past(changed=10)).leave == ()
    assert decide(replace(seen, queue=None), GROWING).leave == ()


def test_idle_workers_that_the_queue_needs_stay() -> None:
    seen = with_workers(cluster(3, queue=Queue(90, 60.0)), worker(1, idle=1e5))
    assert decide(seen, GROWING).does_nothing


def test_node_that_is_lost_and_not_needed_is_not_replaced_and_the_size_is_written_down() -> None:
    seen = with_workers(cluster(2, queue=Queue(0, None)), worker(2, Phase.TAKEN))
    done = decide(seen, GROWING)
    assert (done.size, done.record, len(done.lost)) == (None, 2, 1)
    after = with_workers(seen, worker(2, Phase.LEAVING, lost=1.0))
    assert decide(replace(after, size=2), GROWING).does_nothing


def test_where_nobody_says_what_waits_the_size_is_kept() -> None:
    assert decide(cluster(2, queue=None), GROWING).does_nothing
    assert decide(replace(cluster(1), size=3), GROWING).size == 3


def test_a_deep_fall_of_what_waits_never_goes_below_the_least() -> None:
    seen = cluster(4, queue=Queue(0, None))
    seen = replace(seen, workers=[replace(one, idle=1e4) for one in seen.workers])
    assert len(decide(seen, replace(GROWING, least=3)).leave) == 2
    assert len(decide(seen, GROWING).leave) == 4


# What the loop remembers.


def test_waits_are_doubled_up_to_a_limit_and_begin_anew() -> None:
    now = 0.0
    waits = Backoff(lambda: now)
    assert waits.left == 0
    assert [waits.failed() for _ in range(4)] == [5.0, 10.0, 20.0, 40.0]
    assert max(waits.failed() for _ in range(100)) == 300.0
    now = 400.0
    assert waits.left == 0
    waits.worked()
    assert waits.failed() == 5.0


def test_nodes_are_asked_for_until_ec2_shows_them_or_they_fail() -> None:
    said: list[str] = []
    now = 0.0
    flight = Flight(3, said.append, lambda: now)
    assert flight.unseen(lambda _: False) == 3
    flight.stage("node001", "launch")
    assert flight.unseen(lambda _: True) == 3
    flight.stage("node001", "address")
    assert flight.unseen(lambda _: False) == 3
    assert flight.unseen(lambda _: True) == 2
    flight.failed("node002", "node002: no")
    assert flight.unseen(lambda _: True) == 1
    flight.stage("node003", "address")
    now = 60.0  # EC2 has shown it long ago, and it has ended since
    assert flight.unseen(lambda _: False) == 0
    flight.stage("node001", "ready")
    assert said == ["node002 failed: no", "node001 is ready"]


def test_duration_of_tasks_is_measured_by_what_engines_have_done() -> None:
    meter = Meter()
    assert meter.seconds() is None
    meter.take(0.0, {0: 5, 1: 5})
    meter.take(10.0, {0: 5, 1: 5})
    assert meter.seconds() is None
    meter.take(20.0, {0: 7, 1: 7, 2: 1})  # an engine that came meanwhile
    assert math.isclose(meter.seconds() or 0, 20 * 3 / 5)
    for at in range(30, 2000, 10):
        meter.take(float(at), {0: 7, 1: 7, 2: 1})
    assert meter.seconds() is None  # for five minutes none has been done
