"""What a cluster has cost: known prices, known times."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from spotcluster.aws import network, prices, tags
from spotcluster.aws.instances import Instance, _instance
from spotcluster.cluster.lifecycle import terminate
from spotcluster.cluster.records import Record
from spotcluster.cluster.status import costs, receipts
from spotcluster.cluster.status.costs import Counted, Tariff
from spotcluster.cluster.status.receipts import Receipt
from spotcluster.config import Template
from spotcluster.errors import CloudError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
# Of c5.large in zone a: $0.10 until ten past twelve, then $0.20, and from two o'clock on $0.05.
CHANGES = (
    (NOON - 24 * HOUR, 0.10),
    (NOON + timedelta(minutes=10), 0.20),
    (NOON + 2 * HOUR, 0.05),
)


def node(alias: str, *, spot: bool = True, **more: Any) -> Instance:
    own: dict[str, Any] = {
        "id": f"i-{alias}",
        "state": "running",
        "type": "c5.large",
        "zone": "a",
        "private_ip": "",
        "public_ip": "",
        "spot_request": "",
        "spot": spot,
        "launched": NOON,
        "reason": "",
        "tags": {tags.ALIAS: alias, tags.ID: "abc"},
    }
    return Instance(**{**own, **more})


class Books:
    """A cluster's record, whose tags are kept here."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.written = 0
        template = Template(name="t", keyname="k", cluster_size=1, node_instance_type="c5.large")
        self.record = Record("c", "abc", "sg-1", "vpc-1", 1, NOON, template)

    def so_far(self, now: datetime, *found: Instance, waking: bool = False) -> float | None:
        record = replace(self.record, tags=dict(self.tags))
        return costs.so_far(None, record, found, now=now, waking=waking)  # type: ignore[arg-type]


@pytest.fixture
def books(monkeypatch: pytest.MonkeyPatch) -> Books:
    made = Books()

    def tag(session: Any, ids: list[str], own: dict[str, str]) -> None:
        assert ids == ["sg-1"]
        assert all(len(value) <= 256 for value in own.values())
        made.tags |= own
        made.written += 1

    def changes(session: Any, names: list[str], since: datetime) -> dict[Any, Any]:
        assert names == ["c5.large"]
        return {("c5.large", "a"): CHANGES}

    monkeypatch.setattr(network, "tag", tag)
    monkeypatch.setattr(prices, "spot_changes", changes)
    monkeypatch.setattr(prices, "on_demand", lambda session, name: 0.4)
    monkeypatch.setattr(prices, "disk_hour", lambda session: 0.0)
    return made


def test_spot_instance_costs_each_price_for_as_long_as_it_held(books: Books) -> None:
    # 10 min at 0.10, 110 min at 0.20, 30 min at 0.05
    expected = (10 * 0.10 + 110 * 0.20 + 30 * 0.05) / 60
    assert books.so_far(NOON + 2.5 * HOUR, node("node001")) == pytest.approx(expected)


def test_on_demand_costs_its_price_times_its_time(books: Books) -> None:
    assert books.so_far(NOON + 1.5 * HOUR, node("master", spot=False)) == pytest.approx(0.6)


def test_first_minute_is_paid_whole(books: Books) -> None:
    begun = node("master", spot=False)
    assert books.so_far(NOON + timedelta(seconds=5), begun) == pytest.approx(0.4 / 60)


def test_node_that_ended_counts_until_its_end_and_after_ec2_has_forgotten_it(
    books: Books,
) -> None:
    master = node("master", spot=False)
    ended = node("node001", state="terminated", ended=NOON + HOUR)
    spent = (10 * 0.10 + 50 * 0.20) / 60
    assert books.so_far(NOON + 2 * HOUR, master, ended) == pytest.approx(0.8 + spent)
    assert books.so_far(NOON + 3 * HOUR, master, ended) == pytest.approx(1.2 + spent)
    assert books.so_far(NOON + 4 * HOUR, master) == pytest.approx(1.6 + spent)
    assert books.written == 1


def test_node_that_is_ending_is_written_down_when_it_is_known_since_when(books: Books) -> None:
    ending = node("node001", spot=False, state="shutting-down")
    assert books.so_far(NOON + HOUR, ending) == pytest.approx(0.4)
    assert not books.tags
    ending = replace(ending, ended=NOON + HOUR)
    assert books.so_far(NOON + 2 * HOUR, ending) == pytest.approx(0.4)
    assert books.tags


def test_stopped_master_costs_what_it_ran_before_and_after(books: Books) -> None:
    stopped = node("master", spot=False, state="stopped", ended=NOON + HOUR)
    assert books.so_far(NOON + 5 * HOUR, stopped) == pytest.approx(0.4)
    again = node("master", spot=False, launched=NOON + 10 * HOUR)
    assert books.so_far(NOON + 11 * HOUR, again) == pytest.approx(0.8)
    ended = replace(again, state="terminated", ended=NOON + 12 * HOUR)
    assert books.so_far(NOON + 13 * HOUR, ended) == pytest.approx(1.2)


def test_disk_costs_by_size_and_hours_also_while_its_node_is_stopped(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "disk_hour", lambda session: 0.001)
    own = {tags.ALIAS: "master", tags.ID: "abc", tags.DISK: "100"}
    master = node("master", spot=False, tags=own)
    assert books.so_far(NOON + HOUR, master) == pytest.approx(0.4 + 0.1)
    stopped = replace(master, state="stopped", ended=NOON + HOUR)
    for hours in (1, 5, 9):
        told = books.so_far(NOON + hours * HOUR, stopped)
        assert told == pytest.approx(0.4 + hours * 0.1)
    for _ in range(2):  # a start that is repeated
        books.so_far(NOON + 10 * HOUR, stopped, waking=True)
    again = replace(master, launched=NOON + 10 * HOUR)
    assert books.so_far(NOON + 11 * HOUR, again) == pytest.approx(0.8 + 1.1)
    assert books.so_far(NOON + 11 * HOUR, again) == pytest.approx(0.8 + 1.1)


def test_node_that_does_not_say_its_disk_has_the_default_images(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "disk_hour", lambda session: 0.01)
    assert books.so_far(NOON + HOUR, node("master", spot=False)) == pytest.approx(0.4 + 0.08)


def test_writing_over_each_other_loses_nothing(books: Books) -> None:
    one = node("node001", spot=False, state="terminated", ended=NOON + HOUR)
    two = node("node002", spot=False, state="terminated", ended=NOON + 2 * HOUR)
    books.so_far(NOON + 2 * HOUR, one)
    others = dict(books.tags)
    books.tags.clear()
    books.so_far(NOON + 2 * HOUR, two)
    books.tags = others  # who knew of the first only has written last
    assert books.so_far(NOON + 2 * HOUR, one, two) == pytest.approx(1.2)
    assert books.so_far(NOON + 9 * HOUR) == pytest.approx(1.2)


def test_earlier_cluster_of_the_same_name_is_not_counted(books: Books) -> None:
    earlier = node("node001", state="terminated", tags={tags.ID: "before"})
    assert books.so_far(NOON + HOUR, earlier) == 0.0


def test_many_nodes_fit_into_the_tags(books: Books) -> None:
    many = [
        node(f"node{n:03d}", spot=False, state="terminated", ended=NOON + HOUR) for n in range(150)
    ]
    for _ in range(2):
        assert books.so_far(NOON + HOUR, *many) == pytest.approx(150 * 0.4)
    assert len(books.tags) == 5
    assert books.so_far(NOON + 3 * HOUR, many[0]) == pytest.approx(150 * 0.4)


def test_price_that_aws_does_not_tell_leaves_the_cost_unknown(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "on_demand", lambda session, name: None)
    assert books.so_far(NOON + HOUR, node("master", spot=False), node("node001")) is None


def test_who_may_not_write_sees_the_cost_all_the_same(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise CloudError("no", code="UnauthorizedOperation")

    monkeypatch.setattr(network, "tag", refuse)
    ended = node("node001", spot=False, state="terminated", ended=NOON + HOUR)
    assert books.so_far(NOON + 2 * HOUR, ended) == pytest.approx(0.4)


def test_tags_that_cannot_be_read_count_as_nothing() -> None:
    assert Counted.read({tags.SPENT: "what"}) == Counted()
    assert Counted.read(Counted(1.5, ("abcdef", "123456")).as_tags()) == Counted(
        1.5, ("abcdef", "123456")
    )


def test_price_history_is_asked_for_once_for_all_nodes(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def changes(session: Any, names: list[str], since: datetime) -> dict[Any, Any]:
        asked.append((names, since))
        return {(name, zone): CHANGES for name in names for zone in ("a", "b")}

    monkeypatch.setattr(prices, "spot_changes", changes)
    tariff = Tariff(None)  # type: ignore[arg-type]
    nodes = [
        replace(node(f"node{n:03d}"), type=kind, zone=zone, launched=NOON + n * HOUR)
        for n, (kind, zone) in enumerate(product(("c5.large", "m5.large"), ("a", "b")))
    ]
    tariff.know(reversed(nodes))
    assert tariff.rate_of_all(nodes) is not None
    assert all(tariff.cost(one, NOON + 9 * HOUR) for one in nodes)
    assert asked == [(["c5.large", "m5.large"], NOON)]
    tariff.know(nodes)
    assert len(asked) == 1


def test_price_of_nodes_that_were_launched_in_different_seconds_was_a_call_for_each(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def changes(session: Any, names: list[str], since: datetime) -> dict[Any, Any]:
        asked.append(since)
        return {("c5.large", "a"): CHANGES}

    monkeypatch.setattr(prices, "spot_changes", changes)
    later = [
        replace(node(f"node{n:03d}"), launched=NOON - n * timedelta(seconds=1)) for n in range(5)
    ]
    assert Tariff(None).rate_of_all(iter(later)) is not None  # type: ignore[arg-type]
    assert asked == [later[-1].launched]


def test_node_that_ended_is_counted_by_all_prices_until_then_also_by_who_watches(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who watches keeps prices for minutes, and has written down what had been before a jump."""
    begin = datetime.now(UTC) - HOUR
    told = [(begin - HOUR, 0.1)]
    monkeypatch.setattr(prices, "spot_changes", lambda *_: {("c5.large", "a"): tuple(told)})
    tariff = Tariff(None)  # type: ignore[arg-type]
    one = node("node001", launched=begin)
    record = replace(books.record, tags={})
    now = begin + HOUR
    costs.so_far(SESSION, record, [one], tariff, now)
    told.append((begin + HOUR / 2, 0.5))
    over = replace(one, state="terminated", ended=datetime.now(UTC))
    spent = costs.so_far(SESSION, record, [over], tariff, datetime.now(UTC))
    assert spent == pytest.approx(0.5 * 0.1 + 0.5 * 0.5, rel=0.01)
    assert Counted.read(books.tags).usd == pytest.approx(0.3, rel=0.01)


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        ("terminated", "User initiated (2026-03-01 13:00:00 GMT)", NOON + HOUR),
        ("stopped", "User initiated (2026-03-01 13:00:00 GMT)", NOON + HOUR),
        ("terminated", "Server.SpotInstanceTermination", None),
        ("running", "User initiated (2026-03-01 13:00:00 GMT)", None),
        ("running", "", None),
    ],
)
def test_when_an_instance_ended_is_read_from_ec2s_words(
    state: str, reason: str, expected: datetime | None
) -> None:
    item = {
        "InstanceId": "i-1",
        "State": {"Name": state},
        "InstanceType": "c5.large",
        "LaunchTime": NOON,
        "StateTransitionReason": reason,
    }
    assert _instance(item).ended == expected


# Receipts.

SESSION: Any = SimpleNamespace(region="us-east-1")


def drawn_up(books: Books, *found: Any, **own: str) -> Receipt:
    record: Record = replace(books.record, tags={**books.tags, **own})
    return receipts.draw_up(SESSION, record, found, NOON + 5 * HOUR)


def ended(alias: str, hours: float, **more: Any) -> Any:
    return node(alias, state="terminated", ended=NOON + hours * HOUR, **more)


def test_receipt_is_the_sum_over_the_price_history_to_the_cent(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "disk_hour", lambda session: 0.001)
    master = ended("master", 3, spot=False)
    told = drawn_up(books, master, ended("node001", 2.5), ended("node002", 1))
    spot = (10 * 0.10 + 110 * 0.20 + 30 * 0.05) / 60 + (10 * 0.10 + 50 * 0.20) / 60
    disks = 8 * 0.001 * (3 + 2.5 + 1)
    assert told.usd == pytest.approx(3 * 0.4 + spot + disks, abs=1e-6)
    assert told.on_demand == pytest.approx(6.5 * 0.4 + disks, abs=1e-6)
    assert sum(one.usd for one in told.lines) == pytest.approx(told.usd, abs=1e-5)
    assert [(one.nodes, one.spot, one.hours) for one in told.lines] == [
        (1, False, 3.0),
        (2, True, 3.5),
    ]
    assert told.at_most == ""


def test_drawn_up_again_it_is_the_same_and_at_most_when_ec2_has_forgotten(books: Books) -> None:
    nodes = [ended("master", 3, spot=False), ended("node001", 2.5)]
    first = drawn_up(books, *nodes)
    assert drawn_up(books, *nodes) == first
    later = drawn_up(books)
    assert first.usd is not None
    assert later.usd == pytest.approx(first.usd + 5 * 0.4)
    assert "EC2 does not show 1 of its nodes" in later.at_most
    assert {line.type: line.usd for line in later.lines}[""] == first.usd


def test_instance_whose_end_ec2_does_not_tell_makes_it_at_most(books: Books) -> None:
    lost = node("node001", state="terminated", ended=None, reason="Server.SpotInstanceTermination")
    told = drawn_up(books, ended("master", 1, spot=False), lost)
    assert told.at_most == "EC2 does not say when node001 ended"
    assert told.usd == pytest.approx(0.4 + (10 * 0.1 + 110 * 0.2 + 180 * 0.05) / 60, abs=1e-6)


def test_cluster_that_ec2_has_forgotten_costs_at_most_what_it_can_have(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "disk_hour", lambda session: 0.001)
    told = drawn_up(books)
    assert told.usd == pytest.approx(5 * (0.4 + 8 * 0.001))
    assert "EC2 does not show 1 of its nodes any more" in told.at_most
    assert "until 2026-03-01 17:00 UTC" in told.at_most
    (line,) = told.lines
    assert (line.type, line.nodes, line.hours) == ("not shown", 1, 5.0)


def test_worker_that_ec2_has_forgotten_ended_before_its_master(books: Books) -> None:
    books.record = replace(books.record, size=3)
    master = ended("master", 2, spot=False, tags={**node("master").tags, tags.ROLE: "master"})
    told = drawn_up(books, master, ended("node002", 1, spot=False))
    assert told.usd == pytest.approx(2 * 0.4 + 1 * 0.4 + 2 * 0.4)
    assert "EC2 does not show 1 of its nodes" in told.at_most
    assert sum(one.usd for one in told.lines) == pytest.approx(told.usd, abs=1e-5)


def test_nothing_is_forgotten_of_a_cluster_that_was_stopped_or_is_new(books: Books) -> None:
    books.record = replace(books.record, size=3, stopped=True)
    assert drawn_up(books, ended("master", 2, spot=False)).at_most == ""
    books.record = replace(books.record, stopped=False, created=NOON + 4.5 * HOUR)
    assert drawn_up(books, ended("master", 5, spot=False)).at_most == ""


def test_stop_is_not_paid_as_if_it_had_run(books: Books) -> None:
    stopped = node("master", spot=False, state="stopped", ended=NOON + HOUR)
    books.so_far(NOON + 4 * HOUR, stopped, waking=True)
    told = drawn_up(books, ended("master", 4, spot=False))
    assert told.usd == pytest.approx(0.4, abs=1e-6)


def test_nodes_made_after_a_stop_are_on_it(books: Books) -> None:
    after = ended("node001", 1, spot=False, tags={tags.ALIAS: "node001", tags.ID: "abc.1"})
    assert drawn_up(books, after).usd == pytest.approx(0.4)


def test_receipt_of_many_kinds_of_nodes_fits_into_a_parameter(books: Books) -> None:
    zones = [f"ap-southeast-{n}a" for n in range(120)]
    nodes = [
        ended(f"node{n:03d}", 1, spot=False, type="u7in-24tb.224xlarge", zone=zone)
        for n, zone in enumerate(zones)
    ]
    told = drawn_up(books, *nodes)
    text = json.dumps(told.as_json(), separators=(",", ":"))
    assert len(text) <= 4096
    assert sum(one.nodes for one in told.lines) == 120
    assert Receipt.from_text(text) == told


def test_receipt_of_a_thousand_nodes_fits_also_with_all_that_is_not_known(books: Books) -> None:
    books.record = replace(books.record, name="c" * 50, size=2000)
    zones = [f"ap-southeast-{n}a" for n in range(100)]
    kind = "u7in-24tb.224xlarge"
    nodes = [
        ended(f"node{n:04d}", 700.1234567, spot=False, type=kind, zone=zones[n % 100])
        for n in range(1000)
    ]
    lost = [node(f"n{n}", spot=False, state="terminated", type=kind) for n in range(50)]
    told = drawn_up(books, *nodes, *lost)
    assert "does not show" in told.at_most
    assert "does not say" in told.at_most
    assert len(json.dumps(told.as_json(), separators=(",", ":"))) <= 4096
    assert sum(one.nodes for one in told.lines) == 2000


@mock_aws
def test_many_receipts_come_in_pages_of_ten_and_are_all_listed(books: Books) -> None:
    client = boto3.client("ssm", region_name="us-east-1")
    session: Any = SimpleNamespace(region="us-east-1", client=lambda name: client)
    one = drawn_up(books, ended("master", 1, spot=False))
    for number in range(25):
        receipts.keep(session, replace(one, name=f"c{number:02d}", id=f"id{number}"))
    assert [found.name for found in receipts.kept(session)] == [f"c{n:02d}" for n in range(25)]
    assert [found.id for found in receipts.kept(session, "c07")] == ["id7"]
    assert receipts.kept(session, "c0") == []


def test_receipt_drawn_up_before_ec2_forgot_holds(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = drawn_up(books, ended("master", 1, spot=False))
    seen = SimpleNamespace(record=books.record, instances=())
    monkeypatch.setattr(receipts.records, "look", lambda *_: seen)
    monkeypatch.setattr(receipts, "kept", lambda *_: [replace(first, id="another"), first])
    assert receipts.close(SESSION, "c") == first
    monkeypatch.setattr(receipts, "kept", lambda *_: [])
    told = receipts.close(SESSION, "c")
    assert told
    assert "does not show" in told.at_most


@pytest.mark.parametrize("trouble", ["hangs", "not foreseen"])
def test_receipt_that_cannot_be_written_delays_no_end_and_is_said_in_a_line(
    books: Books, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    one, over, said = drawn_up(books), threading.Event(), list[str]()

    def keep(*_: Any) -> None:
        if trouble == "hangs":
            over.wait(60)
        else:
            raise ZeroDivisionError("what?")

    monkeypatch.setattr(terminate.receipts, "close", lambda *_: one)
    monkeypatch.setattr(terminate.receipts, "keep", keep)
    monkeypatch.setattr(terminate, "_RECEIPT", 0.1)
    reporter: Any = SimpleNamespace(note=said.append)
    assert terminate._receipt(SESSION, "c", reporter) == one
    over.set()
    (line,) = said
    assert line.startswith("the receipt is not kept in the account: ")
    assert line.endswith(("AWS has not taken it within 0 s", "ZeroDivisionError: what?"))


def test_what_cannot_be_read_is_left_out() -> None:
    for text in ("", "[]", "{}", '{"lines": 1}', '{"lines": [], "created": "x"}'):
        assert Receipt.from_text(text) is None


def test_costs_of_unknown_price_are_unknown(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "on_demand", lambda session, name: None)
    told = drawn_up(books, ended("master", 1, spot=False))
    assert (told.usd, told.on_demand, told.saving) == (None, None, None)
    assert Counted.read(books.tags) == Counted()
