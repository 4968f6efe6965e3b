"""EFS file systems, checked against moto: there, with a target in each zone, and open to nodes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from moto import mock_aws

from spotcluster.aws import network
from spotcluster.aws.session import Credentials, Session
from spotcluster.aws.storage import efs
from spotcluster.cluster.volumes import everywhere
from spotcluster.config import Volume
from spotcluster.errors import UsageError

NOBODY = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI")


@pytest.fixture
def session(few_images: None) -> Iterator[Session]:
    with mock_aws():
        yield Session("us-east-1", credentials=NOBODY)


@pytest.fixture
def subnets(session: Session) -> list[network.Subnet]:
    every = network.find_subnets(session, None, None, ["us-east-1a", "us-east-1b"])
    return sorted(every, key=lambda one: one.zone)


def file_system(session: Session) -> str:
    client = session.client("efs")
    return str(client.create_file_system(CreationToken="t")["FileSystemId"])


def group(session: Session, subnet: network.Subnet, *rules: dict[str, Any]) -> str:
    name = f"g{len(session.ec2.describe_security_groups()['SecurityGroups'])}"
    made = session.ec2.create_security_group(GroupName=name, Description="d", VpcId=subnet.vpc_id)[
        "GroupId"
    ]
    if rules:
        session.ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=list(rules))
    return str(made)


def target(session: Session, wanted: str, subnet: network.Subnet, group_id: str) -> None:
    session.client("efs").create_mount_target(
        FileSystemId=wanted, SubnetId=subnet.id, SecurityGroups=[group_id]
    )


def said(
    session: Session, wanted: str, subnets: list[network.Subnet], groups: tuple[str, ...] = ()
) -> str:
    volume = Volume(name="shared", file_system_id=wanted, mount_path="/shared")
    template: Any = SimpleNamespace(file_systems=(volume,), security_groups=groups)
    try:
        everywhere.check(session, "demo", template, subnets)
    except UsageError as error:
        return str(error)
    return ""


def nfs_from(cidr: str, first: int = 2049) -> dict[str, Any]:
    return network.port_range("tcp", first, 2049, cidr)


def test_one_that_is_not_there_is_named(session: Session, subnets: list[network.Subnet]) -> None:
    assert said(session, "fs-0123456789abcdef0", subnets) == (
        "[volume shared]: there is no EFS file system fs-0123456789abcdef0 in us-east-1."
    )


def test_each_zone_without_a_mount_target_is_said_with_what_makes_one(
    session: Session, subnets: list[network.Subnet]
) -> None:
    wanted = file_system(session)
    target(session, wanted, subnets[0], group(session, subnets[0], nfs_from("172.31.0.0/16")))
    found = said(session, wanted, subnets)
    assert f"{wanted} has no mount target in us-east-1b" in found
    assert f"create-mount-target --file-system-id {wanted} --subnet-id {subnets[1].id}" in found
    assert "us-east-1a" not in found
    assert said(session, wanted, subnets[:1]) == ""


def test_a_closed_security_group_is_said_with_what_opens_it(
    session: Session, subnets: list[network.Subnet]
) -> None:
    (subnet, *_) = subnets
    wanted = file_system(session)
    closed = group(session, subnet, nfs_from("10.0.0.0/8"), network.ssh_from("0.0.0.0/0"))
    target(session, wanted, subnet, closed)
    found = said(session, wanted, [subnet])
    assert f"--group-id {closed} --protocol tcp --port 2049 --cidr {subnet.cidr}" in found
    network.allow(session, closed, [nfs_from(subnet.cidr)])
    assert said(session, wanted, [subnet]) == ""


def test_a_group_that_lets_in_the_nodes_own_group_is_open(
    session: Session, subnets: list[network.Subnet]
) -> None:
    (subnet, *_) = subnets
    nodes = group(session, subnet)
    own = group(session, subnet, network.among_themselves(nodes))
    assert efs.let_in(session, [own], subnet.cidr, [nodes])
    assert not efs.let_in(session, [own], subnet.cidr, [])


def test_efs_open_to_members_of_security_groups_was_refused_though_nodes_are_in_one(
    session: Session, subnets: list[network.Subnet]
) -> None:
    (subnet, *_) = subnets
    wanted = file_system(session)
    members, stranger = group(session, subnet), group(session, subnet)
    target(session, wanted, subnet, group(session, subnet, network.among_themselves(members)))
    assert said(session, wanted, [subnet], (members,)) == ""
    assert "lets nobody" in said(session, wanted, [subnet], (stranger,))


def test_efs_open_to_a_prefix_list_was_refused(
    session: Session, subnets: list[network.Subnet]
) -> None:
    (subnet, *_) = subnets
    wanted = file_system(session)
    made = session.ec2.create_managed_prefix_list(
        PrefixListName="nodes",
        MaxEntries=1,
        AddressFamily="IPv4",
        Entries=[{"Cidr": subnet.cidr}],
    )
    listed = {"PrefixListIds": [{"PrefixListId": made["PrefixList"]["PrefixListId"]}]}
    rule = {"IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049, **listed}
    target(session, wanted, subnet, group(session, subnet, rule))
    assert said(session, wanted, [subnet]) == ""
