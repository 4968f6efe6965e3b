"""Workers launched together: how often EC2 is asked, whatever their number, and what it may say."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotcluster import threads
from spotcluster.aws import blocks, tags
from spotcluster.aws.calls import Patience
from spotcluster.aws.fleets import Pool
from spotcluster.aws.images import Image
from spotcluster.aws.instance_types import InstanceType
from spotcluster.aws.launching.reservations import Reservation
from spotcluster.aws.network import Subnet
from spotcluster.cluster.bringup import launch
from spotcluster.cluster.bringup.launch import Launcher
from spotcluster.cluster.bringup.making import Making
from spotcluster.cluster.bringup.places.pools import Offer
from spotcluster.cluster.bringup.plans import Plan, PlannedNode
from spotcluster.cluster.bringup.together import tagging
from spotcluster.cluster.bringup.together.tagging import Tagger
from spotcluster.config import Template
from spotcluster.errors import CapacityError
from spotcluster.ssh import keys

IMAGE = Image("ami-1", "ubuntu", "/dev/sda1", "x86_64", "ubuntu")
KIND = InstanceType("c5.large", 2, 4096, "x86_64")
CHEAP = Pool("c5.large", "subnet-a", "us-east-1a", 0.1)
DEAR = Pool("c5.large", "subnet-b", "us-east-1b", 0.1)
OUT = Pool("c5.large", "subnet-c", "us-east-1c", 0.1)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"


class EC2:
    """As much of EC2 as a launch asks for; `room` is how many instances each subnet still has."""

    def __init__(self, **room: int) -> None:
        self.room = room
        self.asked: Counter[str] = Counter()
        self.fleets: list[dict[str, Any]] = []
        self.moulds: dict[str, str] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.scores: dict[str, int] = {}
        self.prices: dict[tuple[str, str], float] = {}
        self.types: list[tuple[str, int, int]] = []

    def create_launch_template(self, **asked: Any) -> dict[str, Any]:
        self.asked["CreateLaunchTemplate"] += 1
        name = asked["LaunchTemplateName"]
        if name in self.moulds:
            error = {"Code": "InvalidLaunchTemplateName.AlreadyExistsException", "Message": ""}
            raise ClientError({"Error": error}, "CreateLaunchTemplate")  # type: ignore[typeddict-item]
        self.moulds[name] = f"lt-{len(self.moulds)}"
        return {"LaunchTemplate": {"LaunchTemplateId": self.moulds[name]}}

    def delete_launch_template(self, **asked: Any) -> dict[str, Any]:
        self.asked["DeleteLaunchTemplate"] += 1
        mine = asked["LaunchTemplateId"]
        self.moulds = {name: one for name, one in self.moulds.items() if one != mine}
        return {}

    def create_fleet(self, **asked: Any) -> dict[str, Any]:
        self.asked["CreateFleet"] += 1
        self.fleets.append(asked)
        market = asked["TargetCapacitySpecification"]["DefaultTargetCapacityType"]
        left = asked["TargetCapacitySpecification"]["TotalTargetCapacity"]
        (template,) = asked["LaunchTemplateConfigs"]
        made, errors = [], []
        for override in template["Overrides"]:
            place = override["SubnetId"].replace("-", "_") + ("" if market == "spot" else "_steady")
            taken = min(left, self.room.get(place, 0))
            self.room[place] = self.room.get(place, 0) - taken
            left -= taken
            ids = [f"i-{len(self.tags) + number:017x}" for number in range(taken)]
            common = asked["TagSpecifications"][1]["Tags"]
            self.tags |= {one: tags.mapping(common) for one in ids}
            where = {"LaunchTemplateAndOverrides": {"Overrides": override}, "Lifecycle": market}
            if ids:
                made.append({**where, "InstanceIds": ids, "InstanceType": override["InstanceType"]})
            if left:
                code = "InsufficientInstanceCapacity"
                errors.append({**where, "ErrorCode": code, "ErrorMessage": "None."})
        return {"FleetId": f"fleet-{len(self.fleets)}", "Instances": made, "Errors": errors}

    def get_spot_placement_scores(self, **asked: Any) -> dict[str, Any]:
        assert (asked["RegionNames"], asked["SingleAvailabilityZone"]) == (["us-east-1"], True)
        if not self.scores:
            error = {"Code": "UnauthorizedOperation", "Message": ""}
            raise ClientError({"Error": error}, "GetSpotPlacementScores")  # type: ignore[typeddict-item]
        found = [{"AvailabilityZoneId": one, "Score": score} for one, score in self.scores.items()]
        return {"SpotPlacementScores": [{"Region": "us-east-1", **one} for one in found]}

    def describe_spot_price_history(self, **asked: Any) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {
            "SpotPriceHistory": [
                {
                    "InstanceType": kind,
                    "AvailabilityZone": zone,
                    "SpotPrice": str(price),
                    "Timestamp": now,
                }
                for (kind, zone), price in self.prices.items()
                if kind in asked["InstanceTypes"]
            ]
        }

    def describe_instance_types(self, **_: Any) -> dict[str, Any]:
        return {
            "InstanceTypes": [
                {
                    "InstanceType": name,
                    "VCpuInfo": {"DefaultVCpus": cores},
                    "MemoryInfo": {"SizeInMiB": memory},
                }
                for name, cores, memory in self.types
            ]
        }

    def describe_availability_zones(self, **_: Any) -> dict[str, Any]:
        zones = {"use1-az4": "us-east-1a", "use1-az6": "us-east-1b"}
        return {"AvailabilityZones": [{"ZoneId": k, "ZoneName": v} for k, v in zones.items()]}

    def delete_fleets(self, **_: Any) -> dict[str, Any]:
        self.asked["DeleteFleets"] += 1
        return {}

    def create_tags(self, **asked: Any) -> dict[str, Any]:
        self.asked["CreateTags"] += 1
        assert len(asked["Resources"]) <= 1000
        for one in asked["Resources"]:
            self.tags[one] |= tags.mapping(asked["Tags"])
            assert len(self.tags[one]) <= 50
        return {}


class Session(SimpleNamespace):
    """A session, with that EC2 behind it."""


def session(ec2: EC2) -> Any:
    return Session(ec2=ec2, region="us-east-1", patience=Patience())


def launched(
    ec2: EC2,
    number: int,
    pools: Sequence[Pool] = (CHEAP,),
    *,
    offers: Sequence[Pool] = (CHEAP, DEAR, OUT),
    addition: str = "",
    times: int = 1,
    **settings: Any,
) -> tuple[dict[str, Any], list[str]]:
    """Launch workers from a thread each; return what came of each, and what was noted."""
    template = Template.model_validate(
        {"name": "c", "keyname": "k", "node_instance_type": "c5.large", **settings}
    )
    notes: list[str] = []
    record = SimpleNamespace(run="r", group_id="sg-1", new=False, name="c")
    cluster = SimpleNamespace(
        session=session(ec2),
        record=record,
        name="c",
        inside=False,
        note=notes.append,
        deadline=None,
    )
    nodes = [
        PlannedNode(blocks.alias(one), KIND, IMAGE, True, 0.1, 0.05, tuple(pools))
        for one in range(1, 1 + number)
    ]
    todo = Plan(
        "c",
        "us-east-1",
        template,
        Subnet("subnet-a", "vpc-1", "us-east-1a", 100),
        tuple(nodes),
        offers=tuple(
            Offer(one, KIND, price)
            for one, price in ((CHEAP, 0.05), (DEAR, 0.06), (OUT, 0.2))
            if one in offers
        ),
    )
    launcher = Launcher(cluster, todo, (), addition)  # type: ignore[arg-type]
    came: dict[str, Any] = {}

    def one(node: PlannedNode) -> None:
        for _ in range(times):
            try:
                came[node.alias] = launcher.launch(node)
            except CapacityError as error:
                came[node.alias] = error

    run([lambda node=node: one(node) for node in nodes])  # type: ignore[misc]
    return came, notes


def run(what: Sequence[Any]) -> None:
    begun = [threading.Thread(target=one) for one in what]
    for thread in begun:
        thread.start()
    for thread in begun:
        thread.join()


@pytest.mark.parametrize(("number", "calls"), [(16, 16 + 3 * 16), (200, 8), (1000, 26)])
def test_calls_that_make_and_tag_workers_hardly_grow_with_their_number(
    monkeypatch: pytest.MonkeyPatch, number: int, calls: int
) -> None:
    monkeypatch.setattr(tagging, "_LEAST", 30.0)
    monkeypatch.setattr(launch, "_BEGINNING", 100)
    ec2 = EC2(subnet_a=number)
    came, _ = launched(ec2, number)
    assert sorted(ec2.asked) == [
        "CreateFleet",
        "CreateLaunchTemplate",
        "CreateTags",
        "DeleteLaunchTemplate",
    ]
    nodes = {name: SimpleNamespace(instance=one, alias=name) for name, one in came.items()}
    tagger = Tagger(session(ec2), nodes.keys())
    keys = {name: KEY + f"{place:043d}" for place, name in enumerate(nodes)}
    for own in (
        lambda name: {tags.NEXT_HOST_KEY: keys[name]},
        lambda name: {tags.HOST_KEY: keys[name]},
        lambda _: {tags.STATE: "ready"},
    ):
        run([lambda name=name, own=own: tagger.put(nodes[name], own(name)) for name in nodes])  # type: ignore[misc]
    assert ec2.asked.total() - ec2.asked["CreateTags"] == 3
    assert ec2.asked["CreateTags"] == calls
    resolved = {one: own for one, (own, _) in blocks.resolve(ec2.tags).items()}
    assert {own[tags.ALIAS]: own[tags.HOST_KEY] for own in resolved.values()} == keys
    assert all(own[tags.STATE] == "ready" for own in resolved.values())
    in_order = [one.alias for one in sorted(came.values(), key=lambda one: str(one.id))]
    assert in_order == [blocks.alias(one) for one in range(1, 1 + number)]


def test_tags_of_the_master_wait_for_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait for it: so it waited in vain, 3 s of a start of a thousand."""
    monkeypatch.setattr(tagging, "_LEAST", 1000.0)
    ec2 = EC2(subnet_a=1)
    came, _ = launched(ec2, 1)
    (one,) = came.values()
    master = SimpleNamespace(instance=replace(one, tags={**one.tags, tags.ROLE: "master"}))
    tagger = Tagger(session(ec2), {blocks.alias(number) for number in range(1, 1000)})
    putting = threads.begin(lambda: tagger.put(master, {tags.STATE: "ready"}))  # type: ignore[arg-type]
    assert threads.wait_for(putting, 60)
    assert ec2.tags[one.id][tags.STATE] == "ready"


def test_tags_of_the_last_that_came_wait_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that had been tagged before were waited for: 9 s of a start of a thousand."""
    ec2 = EC2(subnet_a=20)
    came, _ = launched(ec2, 20)
    nodes = [SimpleNamespace(instance=one, alias=name) for name, one in came.items()]
    monkeypatch.setattr(tagging, "_LEAST", 1000.0)
    coming = {one.alias for one in nodes[1:]}
    tagger = Tagger(session(ec2), coming)
    before = nodes[1:-1]
    coming.discard(nodes[-1].alias)  # these do not wait for it, so that the test does not
    run([lambda node=node: tagger.put(node, {tags.STATE: "ready"}) for node in before])  # type: ignore[misc]
    coming.add(nodes[-1].alias)
    putting = threads.begin(lambda: tagger.put(nodes[-1], {tags.STATE: "ready"}))  # type: ignore[arg-type]
    assert threads.wait_for(putting, 60)


def test_what_one_pool_does_not_have_is_asked_for_from_the_others() -> None:
    ec2 = EC2(subnet_a=2)
    first, ec2.room = ec2.create_fleet, {"subnet_a": 2, "subnet_b": 0}

    def refill(**asked: Any) -> dict[str, Any]:
        answer = first(**asked)
        answer["Errors"] = answer["Errors"][:1]  # the other pool was not asked
        ec2.room["subnet_b"] = 3
        return answer

    ec2.create_fleet = refill  # type: ignore[method-assign]
    came, notes = launched(ec2, 5, [CHEAP, DEAR])
    assert [one.zone for _, one in sorted(came.items())] == ["us-east-1a"] * 2 + ["us-east-1b"] * 3
    asked = [
        [one["SubnetId"] for one in fleet["LaunchTemplateConfigs"][0]["Overrides"]]
        for fleet in ec2.fleets
    ]
    assert asked == [["subnet-a", "subnet-b"], ["subnet-b"]]
    assert len({fleet["ClientToken"] for fleet in ec2.fleets}) == 2
    assert notes == []
    assert all(one["MaxPrice"] == "0.100000" for one in overrides(ec2))


def overrides(ec2: EC2) -> list[dict[str, str]]:
    return [one for fleet in ec2.fleets for one in fleet["LaunchTemplateConfigs"][0]["Overrides"]]


@pytest.mark.parametrize(("allowed", "steady"), [("2", 2), ("all", 3), (None, 0)])
def test_what_no_spot_pool_has_is_launched_on_demand_as_far_as_it_may(
    allowed: str | None, steady: int
) -> None:
    ec2 = EC2(subnet_a=1, subnet_a_steady=9)
    came, notes = launched(ec2, 4, [CHEAP, DEAR], on_demand_fallback=allowed)
    failed = [name for name, one in sorted(came.items()) if isinstance(one, Exception)]
    assert failed == [f"node00{number}" for number in range(2 + steady, 5)]
    spot = [not isinstance(one, Exception) and one.spot for _, one in sorted(came.items())]
    assert spot == [True, False, False, False]
    assert [one for one in notes if "on demand" in one] == [
        f"{steady} worker(s) of 'c' are launched on demand, as there is no spot capacity for them"
        " (ON_DEMAND_FALLBACK)"
    ] * bool(steady)
    assert not ec2.moulds


def test_no_capacity_at_all_says_what_each_pool_said_and_the_words_to_type() -> None:
    came, notes = launched(EC2(), 3, [CHEAP, DEAR])
    assert all(isinstance(one, CapacityError) for one in came.values())
    (table,) = notes
    assert table.splitlines() == [
        "no room for 3 spot worker(s) of 'c'; each pool said:",
        "type      zone        answer",
        "c5.large  us-east-1a  InsufficientInstanceCapacity",
        "c5.large  us-east-1b  InsufficientInstanceCapacity",
        "A higher bid would have had:",
        "type      zone        price now  per vCPU",
        "c5.large  us-east-1c  $0.2000/h  $0.1000",
        "Type `spotcluster -r us-east-1 start c -b 0.2`.",
    ]


def test_words_to_type_have_the_price_of_now() -> None:
    ec2 = EC2()
    ec2.prices = {("c5.large", "us-east-1a"): 0.123456, ("c5.large", "us-east-1c"): 0.3}
    _, (table,) = launched(ec2, 3, [CHEAP, DEAR])
    assert "c5.large  us-east-1a  $0.1235/h  $0.0617" in table
    assert table.endswith("Type `spotcluster -r us-east-1 start c -b 0.1235`.")


def test_where_there_is_one_pool_others_like_it_are_named() -> None:
    ec2 = EC2()
    ec2.types = [("m5.large", 2, 8192), ("c5.large", 2, 4096), ("t9.large", 2, 2048)]
    ec2.types += [("r5.large", 2, 16384), ("c5.xlarge", 4, 8192)]
    ec2.prices = {("m5.large", "us-east-1a"): 0.07, ("r5.large", "us-east-1a"): 0.2}
    _, (table,) = launched(ec2, 2, [CHEAP], offers=[CHEAP])
    assert table.splitlines()[2:] == [
        "c5.large  us-east-1a  InsufficientInstanceCapacity",
        "Others like these that the bid is enough for:",
        "type      zone        price now  per vCPU",
        "m5.large  us-east-1a  $0.0700/h  $0.0350",
        "Type `spotcluster -r us-east-1 addnode c -s 2 -I m5.large -b 0.1`.",
    ]
    _, (alone,) = launched(EC2(), 2, [CHEAP], offers=[CHEAP])
    assert alone.endswith("type `spotcluster -r us-east-1 start c`.")
    _, (added,) = launched(EC2(), 2, [CHEAP], offers=[CHEAP], addition="x")
    assert added.endswith("type `spotcluster -r us-east-1 addnode c -s 2`.")


def test_no_capacity_says_how_likely_it_is_where_the_credentials_may_ask() -> None:
    ec2 = EC2()
    ec2.scores = {"use1-az4": 3, "use1-az6": 9, "use1-az1": 1}
    _, (table,) = launched(ec2, 3, [CHEAP, DEAR])
    assert "answer                        placement score\n" in table
    assert "us-east-1a  InsufficientInstanceCapacity  3 of 10" in table
    assert "us-east-1b  InsufficientInstanceCapacity  9 of 10" in table


def test_what_there_is_too_little_of_is_said_once_however_often_it_is_asked_for() -> None:
    """It was said again at each replacement."""
    _, notes = launched(EC2(), 3, [CHEAP, DEAR], times=3)
    assert len(notes) == 1
    _, notes = launched(EC2(), 3, [CHEAP, DEAR], times=2, on_demand_fallback="all")
    tables = [one for one in notes if one.startswith("no room")]
    assert ["on-demand worker(s)" in one for one in tables] == [True]
    assert "`spotcluster -r us-east-1 addnode c -s 3 -I TYPE`" in tables[0]


def test_master_in_a_capacity_block_lost_its_disk_where_autostop_was_to_stop_it() -> None:
    """EC2's guide: instances in a block can be stopped, and started while it lasts."""
    template = Template.model_validate(
        {"name": "c", "keyname": "k", "node_instance_type": "c5.large"}
    )
    place = Subnet("subnet-a", "vpc-1", "us-east-1a", 100)
    todo = Plan("c", "us-east-1", template, place, ())
    record = SimpleNamespace(run="r", group_id="sg-1")
    cluster: Any = SimpleNamespace(record=record, name="c", inside=False, deadline=None)
    making = Making(cluster, todo, (), "")
    block = Reservation("cr-1", "c5.large", "us-east-1a", 2, block=True)
    pair = keys.generate("host")
    for spot, reservation, what in (
        (False, None, "stop"),
        (False, block, "stop"),
        (True, None, "terminate"),
    ):
        master = PlannedNode("master", KIND, IMAGE, spot, None, 0.0, reservation=reservation)
        assert making.launch(master, pair, {}).on_shutdown == what
