"""The receipt that `terminate` leaves in the account, and `costs`, which reads it anywhere."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from spotcluster.aws import tags
from spotcluster.local import answers, market
from spotcluster.local.market import Told

from . import changes, sweep
from .commands import END, GO_ON
from .test_keeping import OBSERVATION
from .world import REGION, World

HERE = ("-r", "us-east-1")


def costs(world: World, *words: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = json.loads(
        world.run(*HERE, "costs", "--json", *words).out
    )
    return found


def test_what_has_ended_is_told_by_its_receipt(world: World) -> None:
    world.run("start", "-c", "bare", "mycluster")
    before = costs(world)
    assert [one["name"] for one in before["running"]] == ["mycluster"]
    assert before["ended"] == []
    said = world.run("terminate", "-y", "mycluster").out
    assert "'mycluster' cost $" in said
    after = costs(world, "mycluster")
    assert after["running"] == []
    (receipt,) = after["ended"]
    assert 0 < receipt["usd"] < receipt["on_demand"]
    assert sum(one["nodes"] for one in receipt["lines"]) == 2
    assert receipt["usd"] == pytest.approx(sum(one["usd"] for one in receipt["lines"]), abs=1e-5)
    assert world.run("costs", "another", status=2).err.startswith("There is nothing")


def test_where_no_node_was_spot_nothing_is_said_to_be_saved(world: World) -> None:
    """It said that 0% was."""
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    said = world.run("terminate", "-y", "mycluster").out
    assert "'mycluster' cost $" in said
    assert "saved" not in said
    (receipt,) = costs(world, "mycluster")["ended"]
    assert receipt["usd"] == receipt["on_demand"]


def test_receipt_that_may_not_be_kept_keeps_no_cluster(world: World) -> None:
    def refuse(number: int, name: str, do: Callable[[], Any]) -> Any:
        if name == "PutParameter":
            return answers.error("ssm", "AccessDeniedException", "You are not authorized.", 400)
        return do()

    world.run("start", "-c", "bare", "mycluster")
    world.on_call = refuse
    done = world.run("terminate", "-y", "mycluster")
    assert "the receipt is not kept in the account: " in done.err
    assert "'mycluster' cost $" in done.out
    assert world.left() == []


# Clusters that have ended by themselves.


def a_cluster_of(world: World, hours: float, *words: str) -> None:
    """Start one that has run for so long."""
    world.run("start", "-c", "bare", "-s", "3", *words, "mycluster")
    begun = datetime.now(UTC) - timedelta(hours=hours)
    set_tag(world, tags.CREATED, begun.isoformat(timespec="seconds"))
    for there in world.instances().values():
        for one in there:
            one.launch_time = f"{begun:%Y-%m-%dT%H:%M:%S}.000Z"


SPOT = ("-b", "0.5", "--force-spot-master")


def set_tag(world: World, key: str, value: str) -> None:
    with world.cloud.lock:
        backend = world.cloud.backend(DEFAULT_ACCOUNT_ID, REGION)
        for group, own in backend.tags.items():
            if group.startswith("sg-") and tags.CLUSTER in own:
                own[key] = value


def shut_down(world: World) -> None:
    """Let all nodes end from inside, as idle ones do."""
    for there in world.instances().values():
        for one in there:
            one.ec2_backend.host_shut_down(one)
    world.settle()


def forget(world: World) -> None:
    """Let EC2 show nothing any more of what has ended."""
    with world.cloud.lock:
        backend = world.cloud.backend(DEFAULT_ACCOUNT_ID, REGION)
        for reservation in backend.reservations.values():
            reservation.instances = [one for one in reservation.instances if one.is_live]


def integral(kind: str, zone: str, begin: datetime, end: datetime) -> float:
    """Return what a spot instance costs by the price of each second."""
    seconds = range(int((end - begin).total_seconds()))
    return sum(
        market.price_at(kind, zone, begin + timedelta(seconds=one)).usd / 3600 for one in seconds
    )


@pytest.fixture
def jumps() -> Iterator[None]:
    """Let prices jump in the hours before now, in some zones only."""
    now = datetime.now(UTC)
    steps = [(4.0, "*", 0.11), (3.1, "*a", 0.31), (2.9, "*", 0.02), (0.6, "*b", 0.44)]
    market.told.extend(
        Told("c5.large", zone, usd, now - timedelta(hours=hours)) for hours, zone, usd in steps
    )
    yield
    market.told.clear()


@pytest.mark.usefixtures("jumps")
def test_bill_is_the_sum_over_the_price_history_to_the_cent(world: World) -> None:
    a_cluster_of(world, 5)
    ran = [
        (one.placement.zone, one.lifecycle == "spot", datetime.fromisoformat(one.launch_time))
        for there in world.instances().values()
        for one in there
    ]
    world.run("terminate", "-y", "mycluster")
    (receipt,) = costs(world, "mycluster")["ended"]
    end = datetime.now(UTC)
    expected = 0.0
    for zone, spot, begin in ran:
        disk = 8 * 0.08 / 730 * (end - begin) / timedelta(hours=1)
        hours = (end - begin) / timedelta(hours=1)
        expected += disk + (integral("c5.large", zone, begin, end) if spot else hours * 0.085)
    assert sum(spot for _, spot, _ in ran) == 2
    assert receipt["usd"] == pytest.approx(expected, abs=0.005)
    assert receipt["at_most"] == ""


@pytest.mark.parametrize(
    "words",
    [("listclusters",), ("status",), ("costs",), ("keep", "--once")],
    ids=["listclusters", "status", "costs", "keep"],
)
def test_whoever_looks_next_keeps_the_receipt_of_what_ended_by_itself(
    world: World, words: tuple[str, ...]
) -> None:
    a_cluster_of(world, 2, *SPOT)
    shut_down(world)
    world.change(changes.set_value, f"{OBSERVATION}._NO_MASTER", 2.0)
    world.begin()
    world.terminal(*HERE, *words, "mycluster").wait()
    assert world.calls.count("PutParameter") == 1
    forget(world)
    found = costs(world)
    (receipt,) = found["ended"]
    assert found["running"] == []
    assert sum(one["nodes"] for one in receipt["lines"]) == 3
    assert sum(one["hours"] for one in receipt["lines"]) == pytest.approx(6, rel=0.05)
    assert receipt["at_most"] == ""
    world.begin()
    assert costs(world)["ended"] == [receipt]
    said = " ".join(world.run("listclusters").out.split())
    assert f"It cost ${receipt['usd']:.2f}." in said
    assert "PutParameter" not in world.calls
    world.run("terminate", "-y", "mycluster")
    (after,) = costs(world)["ended"]
    assert (after["usd"], after["at_most"]) == (pytest.approx(receipt["usd"], abs=1e-5), "")


def test_what_nobody_saw_end_costs_at_most_and_why(world: World) -> None:
    a_cluster_of(world, 3, *SPOT)
    shut_down(world)
    forget(world)
    (receipt,) = costs(world)["ended"]
    assert receipt["usd"] == pytest.approx(3 * 3 * (0.085 + 8 * 0.08 / 730), rel=0.01)
    assert "EC2 does not show 3 of its nodes any more" in receipt["at_most"]
    said = " ".join(world.run(*HERE, "costs").out.split())
    assert f"at most ${receipt['usd']:.2f}" in said
    assert "mycluster: EC2 does not show 3 of its nodes any more" in said
    # It grows no more, and stays so when the rest is taken away.
    world.run("terminate", "-y", "mycluster")
    assert costs(world)["ended"] == [receipt]


def test_cluster_that_is_started_again_goes_on_with_what_it_has_cost(world: World) -> None:
    # For so long a start looks for what EC2 says that it has made by a token.
    (world.home / "config").write_text(
        f"{(world.home / 'config').read_text()}\n[aws info]\nSETTLE_TIMEOUT = 1\n"
    )
    a_cluster_of(world, 3, *SPOT)
    shut_down(world)
    ended = world.save()
    for seen in (True, False):
        world.restore(ended)
        if seen:
            (before,) = costs(world)["ended"]
        forget(world)
        world.run("start", "mycluster")
        found = costs(world)
        assert [one["state"] for one in found["running"]] == ["running"]
        assert found["ended"] == []
        world.run("terminate", "-y", "mycluster")
        (after,) = costs(world)["ended"]
        if seen:
            assert before["usd"] < after["usd"] < before["usd"] + 0.05
            assert after["at_most"] == ""
        else:
            assert after["usd"] > 3 * 3 * 0.085
            assert "EC2 does not show 3 of its nodes any more" in after["at_most"]


def test_workers_that_ended_before_their_master_stopped_are_known_or_at_most(world: World) -> None:
    a_cluster_of(world, 3)
    shut_down(world)
    ended = world.save()
    for seen in (True, False):
        world.restore(ended)
        if seen:
            world.run("listclusters")
        forget(world)
        found = costs(world)
        assert [one["state"] for one in found["running"]] == ["stopped"]
        assert found["ended"] == []
        world.run("terminate", "-y", "mycluster")
        (after,) = costs(world)["ended"]
        assert bool(after["at_most"]) != seen
        by_kind = 3 * 0.085 + 2 * 3 * (0.04 if seen else 0.085)
        assert after["usd"] == pytest.approx(by_kind, rel=0.35 if seen else 0.05)


def test_start_under_way_leaves_no_receipt(world: World) -> None:
    """Its record is there before its nodes are."""
    said: list[Any] = []

    def look(number: int, name: str, do: Callable[[], Any]) -> Any:
        if name in ("RunInstances", "CreateFleet") and not said:
            said.append(None)
            world.on_call = None
            said[0] = costs(world)
        return do()

    world.on_call = look
    world.run("start", "-c", "bare", "mycluster")
    assert said[0]["ended"] == []
    assert [one["name"] for one in said[0]["running"]] == ["mycluster"]


def test_who_may_keep_no_receipt_sees_it_all_the_same(world: World) -> None:
    a_cluster_of(world, 3, *SPOT)
    shut_down(world)
    world.cloud.faults.replace([{"action": "PutParameter", "code": "AccessDeniedException"}])
    (receipt,) = costs(world)["ended"]
    assert sum(one["nodes"] for one in receipt["lines"]) == 3


@pytest.mark.parametrize(
    ("words", "ended", "calls"),
    [(("listclusters",), True, 3), (GO_ON, True, 3), (END, False, 20)],
    ids=["listclusters", "start", "terminate"],
)
def test_killed_around_each_call_that_has_to_do_with_it_there_is_one_receipt_and_it_is_right(
    world: World, words: tuple[str, ...], calls: int, *, ended: bool
) -> None:
    a_cluster_of(world, 3, *SPOT)
    saved = world.save()
    world.run(*END)
    (right,) = costs(world)["ended"]
    world.restore(saved)
    if ended:
        shut_down(world)
        saved = world.save()
    table = sweep.record(world, words, saved)
    changing = [one for one in table.calls() if not sweep.only_reads(one.name)]
    at = [one for one in changing if not sweep.is_remote(one.name)][:calls]
    assert len(at) >= 3
    for row in at:
        for after in (False, True):
            where = f"killed {'after' if after else 'before'} {row.name} ({row.number})"
            world.restore(saved)
            hit = sweep.called(row.name, table.occurrence(row))
            assert sweep.cut_off(world, words, hit, signal.SIGKILL, after=after)[0], where
            done = world.terminal(*END).wait()
            assert done.status == 0 or "There is no cluster" in done.err, where
            assert world.left() == []
            (receipt,) = costs(world)["ended"]
            assert receipt["usd"] == pytest.approx(right["usd"], rel=0.02), where
            assert receipt["at_most"] == "", where
