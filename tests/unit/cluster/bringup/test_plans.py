"""Names that `start` and `addnode` give, and what each node is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from spotcluster import files, ssh
from spotcluster.aws import keypairs, prices
from spotcluster.aws.session import Session
from spotcluster.cluster.bringup import naming, plans
from spotcluster.cluster.bringup.places import pools
from spotcluster.cluster.bringup.plans import PlannedNode
from spotcluster.config import Template
from spotcluster.errors import CapacityError, UsageError


@given(st.lists(st.integers(1, 2000), max_size=20), st.integers(0, 20))
def test_new_names_are_new_and_in_order(taken: list[int], number: int) -> None:
    names = [f"node{index:03d}" for index in taken]
    fresh = naming.after(["master", *names], number)
    assert len(set(fresh)) == number
    assert not set(fresh) & set(names)
    assert [int(name[4:]) for name in fresh] == sorted(int(name[4:]) for name in fresh)


def test_names_after_node999_go_on() -> None:
    assert list(naming.after(["node999"], 2)) == ["node1000", "node1001"]


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 64, "a;rm", "ü"])
def test_name_that_ec2_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        plans.check_name(name)


@pytest.mark.parametrize("name", ["mycluster", "a", "My-Cluster_2"])
def test_ordinary_name_is_taken(name: str) -> None:
    plans.check_name(name)


@pytest.fixture
def session(few_images: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield Session("us-east-1")


@pytest.fixture
def x86(session: Session) -> list[str]:
    """The ids of images for x86_64."""
    some = {"Name": "name", "Values": ["Windows_Server-2016-English-*"]}  # all take seconds
    found = session.ec2.describe_images(Filters=[some])["Images"]
    return [one["ImageId"] for one in found if one.get("Architecture") == "x86_64"]


@pytest.fixture
def key(session: Session) -> None:
    """A key pair whose private half is where it is looked for."""
    made = ssh.keys.generate()
    files.write_private(files.key_file("k"), made.private)
    keypairs.upload(session, "k", made.public)


def planned(session: Session, aliases: Sequence[str], **settings: Any) -> list[tuple[str, ...]]:
    """Plan nodes of a template; return alias, type and image of each."""
    given = {"name": "c", "keyname": "k", "cluster_size": 9, **settings}
    made = plans.make(session, "c", Template.model_validate(given), aliases)
    return [(one.alias, one.type.name, one.image.id) for one in made.nodes]


@pytest.mark.usefixtures("key")
def test_groups_of_nodes_have_types_and_images_of_their_own(
    session: Session, x86: list[str]
) -> None:
    assert planned(
        session,
        ["master", "node001", "node002", "node003", "node004"],
        node_instance_type=f"c5.xlarge:2, r5.large:{x86[1]}, m5.large",
        node_image_id=x86[0],
    ) == [
        ("master", "m5.large", x86[0]),
        ("node001", "c5.xlarge", x86[0]),
        ("node002", "c5.xlarge", x86[0]),
        ("node003", "r5.large", x86[1]),
        ("node004", "m5.large", x86[0]),
    ]


@pytest.mark.usefixtures("key")
def test_node_that_is_started_again_is_of_its_group_still(session: Session, x86: list[str]) -> None:
    settings = {"node_instance_type": "c5.xlarge:2, m5.large", "node_image_id": x86[0]}
    assert planned(session, ["node002"], **settings) == [("node002", "c5.xlarge", x86[0])]
    assert planned(session, ["node003"], **settings) == [("node003", "m5.large", x86[0])]


@pytest.mark.usefixtures("key")
def test_master_has_the_type_and_the_image_that_the_template_says_of_it(
    session: Session, x86: list[str]
) -> None:
    assert planned(
        session,
        ["master", "node001"],
        node_instance_type="c5.xlarge:2, m5.large",
        master_instance_type="t3.medium",
        node_image_id=x86[0],
        master_image_id=x86[1],
    ) == [("master", "t3.medium", x86[1]), ("node001", "c5.xlarge", x86[0])]


@pytest.mark.usefixtures("key")
def test_type_of_a_group_that_its_image_does_not_fit_is_named(
    session: Session, x86: list[str]
) -> None:
    with pytest.raises(UsageError, match=rf"{x86[0]} is for x86_64, but m6g.large is arm64"):
        planned(
            session,
            ["master", "node001"],
            node_instance_type="m6g.large:1, m5.large",
            node_image_id=x86[0],
        )


@pytest.mark.usefixtures("key")
def test_an_image_is_looked_up_once_for_all_types(session: Session, x86: list[str]) -> None:
    asked: list[dict[str, Any]] = []
    session.ec2.meta.events.register(
        "provide-client-params.ec2.DescribeImages", lambda params, **_: asked.append(params)
    )
    aliases = ["master", "node001", "node002"]
    planned(session, aliases, node_instance_type="c5.large:1, m5.large", node_image_id=x86[0])
    assert len(asked) == 1


@pytest.mark.usefixtures("key")
def test_plan_of_no_new_nodes_names_a_subnet_all_the_same(session: Session) -> None:
    template = Template.model_validate(
        {"name": "c", "keyname": "k", "node_instance_type": "c5.large:1, m5.large"}
    )
    made = plans.make(session, "c", template, [])
    assert (made.nodes, made.price) == ((), 0)
    assert made.subnet.id


def with_key(path: Path | None = None) -> Template:
    given = {"name": "c", "keyname": "k", "node_instance_type": "c5.large", "key_location": path}
    return Template.model_validate(given)


def test_key_that_a_connection_can_use_is_right(tmp_path: Path) -> None:
    for path in (None, tmp_path / "k"):
        files.write_private(path or files.key_file("k"), ssh.keys.generate().private)
        assert plans.check_key(with_key(path)) == (path or files.key_file("k"))


def test_missing_key_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not exist.*spotcluster createkey k -o /"):
        plans.check_key(with_key(tmp_path / "k"))


def test_key_was_to_be_made_in_the_region_of_commands_and_not_in_that_of_the_cluster(
    session: Session, tmp_path: Path
) -> None:
    """Followed to the letter, that made it where the cluster never looked."""
    making = rf"`spotcluster -r {session.region} createkey k -o "
    missing = with_key(tmp_path / "k").model_copy(update={"region": "eu-west-1"})
    with pytest.raises(UsageError, match=r"`spotcluster -r eu-west-1 createkey k -o /"):
        plans.check_key(missing)
    with pytest.raises(UsageError, match=rf"does not exist.*{making}"):
        plans.make(session, "c", missing, ["master"])
    files.write_private(tmp_path / "k", ssh.keys.generate().private)
    with pytest.raises(UsageError, match=rf"There is no key pair.*{making}FILE"):
        plans.make(session, "c", missing, ["master"])


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o610])
def test_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "my key"
    files.write_private(path, ssh.keys.generate().private, mode=mode)
    said = r"^\[key k\] .* can be read by others than you.*`chmod 600 '.*my key'`"
    with pytest.raises(UsageError, match=said):
        plans.check_key(with_key(path))


@pytest.mark.usefixtures("held_to_modes")
def test_key_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    files.write_private(tmp_path / "k", ssh.keys.generate().private, mode=0o200)
    with pytest.raises(UsageError, match="cannot be read"):
        plans.check_key(with_key(tmp_path / "k"))


def test_public_key_in_the_place_of_the_private_one_is_not_told_to_be_closed(
    tmp_path: Path,
) -> None:
    """`chmod 600` was the advice, and then the cluster was launched."""
    files.write_private(tmp_path / "k.pub", ssh.keys.generate().public, mode=0o644)
    with pytest.raises(UsageError, match="is a public key") as refused:
        plans.check_key(with_key(tmp_path / "k.pub"))
    assert "chmod" not in refused.value.hint
    assert plans.refusals(with_key(tmp_path / "k.pub"))


def test_host_to_go_through_needs_an_ssh_which_is_said_before_the_launch(
    session: Session, key: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plans.refusals(with_key()) == []
    monkeypatch.setenv("PATH", str(tmp_path))
    through = with_key().model_copy(update={"proxy_jump": "bastion"})
    assert ["no ssh program" in str(one) for one in plans.refusals(through)] == [True]
    with pytest.raises(UsageError, match="no ssh program"):
        plans.make(session, "c", through, [])


def pools_of(session: Session, alias: str, **settings: Any) -> tuple[PlannedNode, set[str]]:
    given = {"name": "c", "keyname": "k", "cluster_size": 3, **settings}
    some = {"Name": "name", "Values": ["Windows_Server-2016-English-*"]}
    (image, *_) = session.ec2.describe_images(Filters=[some])["Images"]
    given["node_image_id"] = image["ImageId"]
    made = plans.make(session, "c", Template.model_validate(given), sorted({"master", alias}))
    (node,) = [one for one in made.nodes if one.alias == alias]
    return node, {one.type for one in node.pools}


@pytest.mark.usefixtures("key")
def test_workers_may_be_any_of_several_types_in_every_zone(session: Session) -> None:
    types = ["c5.xlarge", "m5.xlarge", "c5.2xlarge"]
    node, found = pools_of(session, "node001", node_instance_types=types, spot_bid=9.0)
    assert found == set(types)
    assert len({one.zone for one in node.pools}) > 2
    assert all(one.bid == 9.0 for one in node.pools)
    assert (node.type.name, node.price) != ("", None)
    master, kinds = pools_of(session, "master", node_instance_types=types, spot_bid=9.0)
    assert (master.type.name, kinds, master.spot) == ("c5.xlarge", {"c5.xlarge"}, False)


@pytest.mark.usefixtures("key")
def test_a_bid_is_held_to_the_price_of_every_zone(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was refused for the price of the one zone with the most addresses."""
    told = {("c5.xlarge", f"us-east-1{zone}"): 0.16 for zone in "abcdef"}
    told["c5.xlarge", "us-east-1c"] = 0.18
    monkeypatch.setattr(pools.prices, "spot_pools", lambda *_: told)
    node, _ = pools_of(session, "node001", node_instance_type="c5.xlarge", spot_bid=0.17)
    assert "us-east-1a" in {one.zone for one in node.pools}
    assert "us-east-1c" not in {one.zone for one in node.pools}
    disk = node.disk_gb * prices.disk_hour(session)
    assert node.price == pytest.approx(0.16 + disk)
    with pytest.raises(CapacityError, match=r"the cheapest of \d pools, which is \$0\.16/h now"):
        pools_of(session, "node001", node_instance_type="c5.xlarge", spot_bid=0.15)


@pytest.mark.usefixtures("key")
def test_types_are_found_by_what_they_must_have(session: Session) -> None:
    node, found = pools_of(
        session,
        "node001",
        node_instance_type="c5.large",
        node_cpus="4",
        node_memory="-8",
        spot_bid=9.0,
    )
    assert "c6i.xlarge" in found
    assert "c5.large" not in found
    assert not any("metal" in one or one.startswith(("t3", "g4", "m6g")) for one in found)
    assert (node.type.vcpus, node.type.memory_mb) == (4, 8192)
    assert len(node.pools) <= 300


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"node_instance_types": ["c5.large", "m6g.large"]}, "x86_64, but m6g.large is arm64"),
        ({"node_instance_types": ["c5.large", "mac1.metal"]}, "mac1.metal"),
        ({"node_instance_type": "c5.large", "node_cpus": "3"}, "has NODE_CPUS = 3"),
    ],
)
def test_types_that_cannot_work_are_refused_before_anything_is_made(
    session: Session, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        pools_of(session, "node001", spot_bid=9.0, **settings)


@pytest.fixture
def ipv6_only(session: Session) -> str:
    """A subnet without an IPv4 address."""
    vpc = session.ec2.create_vpc(CidrBlock="10.9.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    block = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"].replace("/56", "/64")
    made = session.ec2.create_subnet(
        VpcId=vpc["VpcId"], Ipv6CidrBlock=block, Ipv6Native=True, AvailabilityZone="us-east-1a"
    )
    return made["Subnet"]["SubnetId"]


@pytest.mark.usefixtures("key")
def test_subnet_of_ipv6_only_has_room_for_all(
    session: Session, x86: list[str], ipv6_only: str
) -> None:
    given = {
        "name": "c",
        "keyname": "k",
        "node_instance_type": "c5.xlarge",
        "node_image_id": x86[0],
        "subnet_id": ipv6_only,
    }
    aliases = ["master", *(f"node{number:03d}" for number in range(1, 400))]
    template = Template.model_validate({**given, "cluster_size": 400})
    made = plans.make(session, "c", template, aliases)
    assert made.subnet.ipv6
    plugin = {"name": "i", "setup_class": "spotcluster.plugins.ipcluster.IPCluster"}
    for changes, why in (
        ({"plugins": [plugin]}, r"which \[plugin i\] does not work with"),
        ({"node_instance_type": "m4.large"}, "which m4.large cannot"),
    ):
        with pytest.raises(UsageError, match=why):
            plans.make(session, "c", Template.model_validate({**given, **changes}), ["master"])
