"""Sizes that cannot be: refused before anything is made, even before the nodes have names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spotcluster.local import answers

from .changes import few_names
from .world import World

STANDARD_SPOT, STANDARD = "L-34B43A08", "L-1216C47A"
LOOKS = ("Describe", "Get")


def refused(world: World, *words: str, status: int = 1) -> str:
    """Return what the program says, that has made nothing."""
    world.begin()
    there = sorted(world.instances())
    said = world.run(*words, status=status).err
    assert all(one.startswith(LOOKS) for one in world.calls), world.calls
    assert len(world.calls) <= 25
    assert sorted(world.instances()) == there
    return " ".join(said.split())


@pytest.mark.parametrize("template", ["bare", "steady"])
@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--dry-run", "--json")])
def test_more_nodes_than_addresses_are_refused_before_any_has_a_name(
    world: World, template: str, more: tuple[str, ...]
) -> None:
    world.change(few_names)
    said = refused(world, "start", "-c", template, "-s", "100000", *more, "mycluster")
    assert "us-east-1a, us-east-1b, us-east-1c" in said
    assert "100000 are needed" in said
    (most,) = (int(one) for one in said.split("Say -s ")[1].split()[:1])
    assert 4091 * 5 <= most < 4096 * 7
    assert f"{most} free addresses" in said
    assert "SUBNET_ID" in said


def test_addition_of_more_than_there_are_addresses_is_refused_before_any_node_has_a_name(
    world: World,
) -> None:
    world.run("start", "-c", "bare", "-s", "2", "mycluster")
    world.change(few_names)
    said = refused(world, "addnode", "-s", "99990", "mycluster")
    assert "99990 are needed" in said
    assert "Say -s 2" in said
    one = refused(world, "addnode", "-s", "99990", "-z", "us-east-1b", "mycluster")
    assert "us-east-1b has 409" in one
    assert "us-east-1a" not in one
    assert "leave AVAILABILITY_ZONE (-a, -z) out" in one
    # The size that is said fits.
    world.run("stop", "-y", "mycluster")
    again = refused(world, "start", "-s", "100000", "mycluster")
    assert "99998 are needed" in again or "99999 are needed" in again


# Quotas.


def quota(world: World, code: str, cores: float) -> None:
    world.cloud.quotas.replace({code: cores})


def test_more_spot_cores_than_the_quota_are_refused_before_anything_is_made(
    world: World,
) -> None:
    quota(world, STANDARD_SPOT, 8)
    said = refused(world, "start", "-c", "bare", "-s", "6", "mycluster")
    assert world.calls.count("GetServiceQuota") == 1
    assert "5 spot node(s) of c5.large need 10 vCPUs" in said
    assert (
        f"'All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests' ({STANDARD_SPOT}"
        in said
    )
    assert "is 8, of which 0 run already" in said
    assert "Say -s 5 or less" in said
    assert (
        f"--region us-east-1 --service-code ec2 --quota-code {STANDARD_SPOT} --desired-value 10"
        in said
    )
    assert "Say -s 5" in refused(world, "start", "-c", "bare", "-s", "6", "--dry-run", "mycluster")
    world.begin()
    world.run("start", "-c", "bare", "-s", "5", "mycluster")
    assert world.calls.count("GetServiceQuota") == 1
    said = refused(world, "addnode", "mycluster")
    assert "of which 8 run already" in said
    assert "Choose smaller types, or raise the quota" in said
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_what_others_run_counts_where_the_quota_counts_it_only(world: World) -> None:
    world.run("start", "-c", "steady", "-s", "3", "other")
    quota(world, STANDARD, 8)
    said = refused(world, "start", "-c", "steady", "-s", "2", "mycluster")
    assert "2 node(s) of c5.large need 4 vCPUs" in said
    assert "is 8, of which 6 run already" in said
    assert "Say -s 1 or less" in said
    quota(world, STANDARD_SPOT, 2)
    world.run("start", "-c", "bare", "-s", "2", "mycluster")  # on demand there is no limit now


def test_workers_that_may_be_on_demand_instead_are_not_refused(
    world: World, spotcluster_home: Path
) -> None:
    config = spotcluster_home / "config"
    more = "[cluster some]\nEXTENDS = bare\nON_DEMAND_FALLBACK = 1\n"
    more += "[cluster any]\nEXTENDS = bare\nON_DEMAND_FALLBACK = all\n"
    config.write_text(f"{config.read_text()}\n{more}")
    quota(world, STANDARD_SPOT, 2)
    said = refused(world, "start", "-c", "some", "-s", "4", "mycluster")
    assert "Say -s 3 or less" in said
    world.run("start", "-c", "some", "-s", "3", "mycluster")
    lives = [one.lifecycle for found in world.instances().values() for one in found]
    assert lives.count("spot") == 1
    world.run("terminate", "-y", "mycluster")
    world.begin()
    world.run("start", "-c", "any", "-s", "3", "--dry-run", "mycluster")
    assert "GetServiceQuota" not in world.calls


@pytest.mark.parametrize("code", ["AccessDeniedException", "InternalFailure", "NoSuchResource"])
def test_who_may_not_ask_for_quotas_starts_clusters_all_the_same(world: World, code: str) -> None:
    def check(number: int, name: str, do: Callable[[], Any]) -> Any:
        if name == "GetServiceQuota":
            return answers.error("servicequotas", code, "No.", 500 if "Int" in code else 400)
        return do()

    world.on_call = check
    world.run("start", "-c", "bare", "mycluster")
    assert world.calls.count("GetServiceQuota") == 1


def test_size_that_ec2_refuses_by_its_quota_is_said_as_such(world: World) -> None:
    """Where nobody may ask for the quota, each pool says it."""

    def check(number: int, name: str, do: Callable[[], Any]) -> Any:
        if name == "GetServiceQuota":
            return answers.error("servicequotas", "AccessDeniedException", "No.", 400)
        return do()

    world.on_call = check
    quota(world, STANDARD_SPOT, 2)
    said = world.run(
        "start", "-c", "bare", "-s", "3", "--on-failure", "drop", "mycluster", status=1
    )
    assert "MaxSpotInstanceCountExceeded" in said.err
    assert len(world.ready()) == 2
