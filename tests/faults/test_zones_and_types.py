"""Nodes in several zones and of several types, from `start` or `addnode` until they are gone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spotcluster.aws import prices
from spotcluster.aws.session import Session
from spotcluster.local import market
from spotcluster.local.images import UBUNTU
from spotcluster.node_layout import ENGINES

from .world import REGION, World

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
KINDS = ("c5.large", "c5.xlarge", "c5.2xlarge")
CORES = {"c5.large": 2, "c5.xlarge": 4, "c5.2xlarge": 8, "m5.large": 2}
WIDE = """
[cluster wide]
EXTENDS = bare
NODE_INSTANCE_TYPES = c5.large, c5.xlarge, c5.2xlarge
SPOT_BID = 9
"""


@pytest.fixture
def wide(world: World, spotcluster_home: Path) -> World:
    """Give a world where `wide` takes any of three types, and machines have their types' cores."""
    config = spotcluster_home / "config"
    config.write_text(config.read_text() + WIDE)
    plain = world.machines.answer

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        said = plain(asked)
        kinds = {one.id: one.instance_type for one in world.cloud.instances()}
        cores = CORES[kinds[asked["id"]]]
        outs = [one.replace("cores=2\n", f"cores={cores}\n") for one in said.get("outs", ())]
        return {**said, "outs": outs} if outs else said

    world.machines.answer = answer  # type: ignore[method-assign]
    return world


def fleets(world: World) -> list[list[tuple[str, str]]]:
    """Return the pools that each fleet asked for, as type and zone."""
    backend = world.cloud.backend("123456789012", REGION)
    zone_of = {
        subnet.id: subnet.availability_zone
        for found in backend.subnets.values()
        for subnet in found.values()
    }
    return [
        [
            (one["InstanceType"], zone_of[one["SubnetId"]])
            for config in fleet.asked["LaunchTemplateConfigs"]
            for one in config["Overrides"]
        ]
        for fleet in backend.fleets.values()
    ]


def places(world: World) -> dict[str, tuple[str, str]]:
    """Return the type and the zone of each node."""
    return {
        name: (one.instance_type, one.availability_zone)
        for name, (one,) in world.instances().items()
    }


# What `addnode` is told.


@pytest.mark.parametrize(
    ("words", "kinds", "zones"),
    [
        (("-z", "us-east-1b"), set(KINDS), {"us-east-1b"}),
        (("-I", "m5.large"), {"m5.large"}, None),
        (("-z", "us-east-1c", "-I", "c5.xlarge"), {"c5.xlarge"}, {"us-east-1c"}),
        ((), set(KINDS), None),
    ],
)
def test_added_nodes_are_asked_for_in_the_pools_that_were_named_and_no_others(
    wide: World, words: tuple[str, ...], kinds: set[str], zones: set[str] | None
) -> None:
    wide.run("start", "-c", "wide", "-s", "1", "mycluster")
    wide.run("addnode", "-s", "2", *words, "mycluster")
    (asked,) = fleets(wide)
    assert len(asked) == len(set(asked))
    assert {kind for kind, _ in asked} == kinds
    if zones:
        assert {zone for _, zone in asked} == zones
    else:
        assert {zone for _, zone in asked} >= set(ZONES)
    master, *workers = places(wide).values()
    assert master[0] == "c5.large"
    assert set(workers) <= set(asked)


def test_what_one_addition_was_told_does_not_hold_for_the_next(wide: World) -> None:
    wide.run("start", "-c", "wide", "-s", "1", "mycluster")
    wide.run("addnode", "-z", "us-east-1b", "-I", "c5.xlarge", "mycluster")
    wide.run("addnode", "mycluster")
    told, usual = fleets(wide)
    assert told == [("c5.xlarge", "us-east-1b")]
    assert {kind for kind, _ in usual} == set(KINDS)
    assert {zone for _, zone in usual} >= set(ZONES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-z", "us-west-2a"), "us-west-2a"),
        (("-z", "a"), "'a'|zone a"),
        (("-I", "c5.largest"), r"c5\.largest"),
        (("-I", "mac1.metal"), r"mac1\.metal"),
    ],
)
def test_zone_or_type_that_cannot_be_is_refused_in_one_sentence_before_anything_is_made(
    wide: World, words: tuple[str, ...], said: str
) -> None:
    wide.run("start", "-c", "bare", "-s", "1", "mycluster")
    assert re.search(said, refused(wide, *words))


def test_type_that_does_not_run_the_image_of_the_cluster_is_refused_before_anything_is_made(
    wide: World, spotcluster_home: Path
) -> None:
    config = spotcluster_home / "config"
    own = f"[cluster own]\nEXTENDS = bare\nNODE_IMAGE_ID = {UBUNTU}\n"
    config.write_text(config.read_text() + own)
    wide.run("start", "-c", "own", "-s", "1", "mycluster")
    said = refused(wide, "-I", "c6g.large")
    assert "c6g.large" in said
    assert "arm64" in said


def refused(world: World, *words: str) -> str:
    """Return in which sentence `addnode` refuses to add to a lone master, with nothing made."""
    world.begin()
    done = world.terminal("addnode", *words, "mycluster").wait(60)
    assert done.status in (1, 2), done.out + done.err
    said = done.err.strip().splitlines()[0]
    assert said.endswith((".", "?")), done.err
    assert "Traceback" not in done.err
    assert "terminate" not in done.err  # of a cluster that is well
    assert all(one.startswith(("Describe", "Get")) for one in world.calls), world.calls
    assert list(world.instances()) == ["master"]
    assert world.group_tags()["spotcluster:size"] == "1"
    return said


# Several zones.


def test_cluster_in_several_zones_lives_as_any_other(wide: World) -> None:
    """From start over a node that is added and one that is taken out to its end."""
    wide.cloud.capacity.replace(
        [
            {"instance_type": "c5.large", "zone": zone, "lifecycle": "spot", "capacity": 1}
            for zone in ZONES
        ]
        + [{"lifecycle": "spot", "capacity": 0}]
    )
    wide.run("start", "-c", "wide", "-s", "4", "mycluster")
    names = ["master", "node001", "node002", "node003"]
    assert wide.ready() == names
    there = places(wide)
    assert sorted(there[name] for name in names[1:]) == [("c5.large", zone) for zone in ZONES]
    shown = json.loads(wide.run("listclusters", "--json", "mycluster").out)
    (cluster,) = shown if isinstance(shown, list) else shown["clusters"]
    said = {one["alias"]: one["zone"] for one in cluster["nodes"]}
    assert said == {name: zone for name, (_, zone) in there.items()}
    wide.run("removenode", "-y", "mycluster", "node002")
    assert wide.ready() == ["master", "node001", "node003"]
    # The pool that it left is the only one that has room.
    wide.run("addnode", "mycluster")
    assert wide.ready() == ["master", "node001", "node003", "node004"]
    assert places(wide)["node004"] == there["node002"]
    wide.run("terminate", "-y", "mycluster")
    assert wide.left() == []


# Several sizes.


def test_each_node_gets_as_many_engines_as_it_is_large(wide: World) -> None:
    wide.cloud.capacity.replace(
        [
            {"instance_type": kind, "zone": "us-east-1a", "lifecycle": "spot", "capacity": 1}
            for kind in KINDS
        ]
        + [{"lifecycle": "spot", "capacity": 0}]
    )
    asked: list[dict[str, Any]] = []

    def note(step: dict[str, Any]) -> None:
        asked.append(dict(step))

    wide.machines.faults.append(note)
    done = wide.run("start", "-c", "wide", "-s", "4", "mycluster")
    kinds = {name: kind for name, (kind, _) in places(wide).items()}
    assert sorted(kinds.values()) == sorted(["c5.large", *KINDS])  # the master's is the first
    started = {
        one["alias"]: int(re.search(r"^content=(.*)$", one["script"], re.M)[1])  # type: ignore[index]
        for one in asked
        if one["what"] == f"writing {ENGINES}/number"
    }
    assert started == {name: CORES[kind] for name, kind in kinds.items()}
    assert f"with {sum(started.values())} engine(s)" in (done.out + done.err).replace("\n", " ")


# Too few.


def test_words_that_are_said_where_there_is_no_room_get_the_nodes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First by a higher bid, then of another type."""
    monkeypatch.setattr(market, "told", [])
    market.tell([{}])  # they stay as they are
    here = Session(REGION)
    told = {place[1]: price for place, price in prices.spot_pools(here, ["c5.large"]).items()}
    dearest = max(told, key=lambda zone: (told[zone], zone))
    bid = (max(told.values()) + max(p for z, p in told.items() if z != dearest)) / 2
    kind = {"instance_type": "c5.large", "lifecycle": "spot"}
    world.cloud.capacity.replace(
        [{**kind, "zone": dearest, "capacity": 2}, {**kind, "capacity": 0}]
    )
    drop = ("--on-failure", "drop")
    bid_of = ("-b", f"{bid:.6f}")
    said = world.run("start", "-c", "bare", "-s", "3", *bid_of, *drop, "mycluster", status=1)
    assert said.err.count("no room for 2 spot worker(s)") == 1
    assert re.search(rf"c5\.large  {dearest}  \$\d\.\d+/h", said.err), said.err
    world.run(*words_said(said.err))
    assert world.ready() == ["master", "node001", "node002"]
    said = world.run("addnode", "-s", "2", "-b", "9", *drop, "mycluster", status=1)
    assert "Others like these that the bid is enough for" in said.err
    world.run(*words_said(said.err))
    assert len(world.ready()) == 5
    assert {one for one, _ in places(world).values()} - {"c5.large"}
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def words_said(text: str) -> list[str]:
    """Return the words that a user is told to type, without the name of the program."""
    (found,) = re.findall(r"^Type `spotcluster ([^`]*)`\.$", text, re.MULTILINE)
    return list(found.split())


def test_prices_that_rise_between_plan_and_launch_are_said_as_they_are_by_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market, "told", [])
    market.tell([{"usd": 0.1}])

    def rise(number: int, name: str, do: Callable[[], Any]) -> Any:
        if name == "CreateFleet" and len(market.told) == 1:
            market.tell([{"zone": "*[!b]", "usd": 0.25}, {"zone": "*b", "usd": 0.2123}])
        return do()

    world.on_call = rise
    drop = ("--on-failure", "drop")
    said = world.run("start", "-c", "bare", "-b", "0.2", *drop, "mycluster", status=1)
    assert "SpotMaxPriceTooLow" in said.err
    assert "c5.large  us-east-1b  $0.2123/h" in said.err, said.err
    words = words_said(said.err)
    assert words[-2:] == ["-b", "0.2123"]
    world.run(*words)
    assert places(world)["node001"] == ("c5.large", "us-east-1b")
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


# Architectures.


def test_workers_of_another_architecture_than_the_master_have_the_image_of_theirs(
    world: World, spotcluster_home: Path
) -> None:
    """ARCHITECTURE was good for nothing but a refusal."""
    config = spotcluster_home / "config"
    arm = "[cluster arm]\nEXTENDS = bare\nNODE_CPUS = 4\nARCHITECTURE = arm64\nSPOT_BID = 9\n"
    mixed = "[cluster mixed]\nEXTENDS = wide\nNODE_INSTANCE_TYPES = c5.large, c6g.large\n"
    config.write_text(config.read_text() + WIDE + arm + mixed)
    said = json.loads(world.run("start", "-c", "arm", "--dry-run", "--json", "mycluster").out)
    master, worker = said["nodes"]
    assert master["type"] == "c5.large"
    assert worker["vcpus"] == 4
    assert master["image"] != worker["image"]
    world.begin()
    wrong = world.run("start", "-c", "mixed", "mycluster", status=2).err
    assert "c5.large is x86_64, but c6g.large is arm64" in wrong
    assert "Name types of one architecture in NODE_INSTANCE_TYPES." in wrong
    assert all(one.startswith(("Describe", "Get")) for one in world.calls)
