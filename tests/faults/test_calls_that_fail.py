"""Calls that fail: what the user sees, and that nothing is left over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from . import changes
from .world import World

MAKING = (
    "CreateSecurityGroup",
    "RunInstances",
    "CreateLaunchTemplate",
    "CreateFleet",
    "CreateTags",
    "AuthorizeSecurityGroupIngress",
)


@pytest.fixture(autouse=True)
def short_waits(world: World) -> None:
    """Nothing here waits for a real cloud."""
    world.change(changes.set_value, "spotcluster.cluster.bringup.pipeline._CAPACITY_PAUSE", 0.05)


def fail(world: World, *rules: dict[str, Any]) -> None:
    world.cloud.faults.replace(list(rules))


def hits(world: World) -> list[int]:
    return [rule["hits"] for rule in world.cloud.faults.listed()]


def live_through(world: World) -> None:
    """Start, add, remove and terminate, each of which must do what it says."""
    world.run("start", "-c", "bare", "mycluster", timeout=120)
    assert world.ready() == ["master", "node001"]
    world.run("addnode", "mycluster", timeout=120)
    assert world.ready() == ["master", "node001", "node002"]
    world.run("removenode", "-y", "mycluster", "node001", timeout=120)
    assert world.ready() == ["master", "node002"]
    assert all(len(there) == 1 for there in world.instances().values())
    world.run("terminate", "-y", "mycluster", timeout=120)
    assert world.left() == []


def begin(world: World, *rules: dict[str, Any], size: int = 2, status: int = 1) -> str:
    """Start under faults; return what the user was told."""
    fail(world, *rules)
    done = world.run("start", "-c", "bare", "-s", str(size), "mycluster", status=status)
    fail(world)
    return done.err


def end(world: World) -> None:
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_throttling_makes_it_slower_only(world: World, rate: float) -> None:
    fail(
        world,
        {"action": "*", "probability": rate, "code": "RequestLimitExceeded", "status": 503},
    )
    live_through(world)
    assert hits(world)[0] > 5


def test_throttling_that_does_not_end_is_named(world: World, spotcluster_home: Path) -> None:
    with (spotcluster_home / "config").open("a") as config:
        config.write("\n[aws info]\nTHROTTLE_TIMEOUT = 1\n")
    said = begin(world, {"action": "DescribeImages", "code": "RequestLimitExceeded"})
    assert "EC2 is throttling this account" in said
    assert world.left() == []


@pytest.mark.parametrize("calls_", [1, 4])
def test_what_was_made_is_not_found_for_some_calls(world: World, calls_: int) -> None:
    fail(world, {"action": "RunInstances", "lag": calls_}, {"action": "Create*", "lag": calls_})
    live_through(world)


def test_tags_that_come_late(world: World) -> None:
    fail(world, {"action": "RunInstances", "tag_lag": 4}, {"action": "Create*", "tag_lag": 2})
    live_through(world)


def test_terminate_finds_what_a_killed_start_has_just_made(world: World) -> None:
    """EC2 shows neither the instances nor the group when terminate looks first."""
    fail(world, {"action": "RunInstances", "lag": 3}, {"action": "CreateSecurityGroup", "lag": 5})
    world.frozen = {"master"}
    terminal = world.terminal("start", "-c", "bare", "mycluster")
    while len(world.instances()) < 2:
        assert not terminal.ended()
    terminal.kill()
    world.wait_until_idle()
    world.frozen = set()
    end(world)


def test_partial_fulfilment_names_the_nodes_that_are_missing(world: World) -> None:
    two = {"lifecycle": "spot", "zone": "us-east-1a", "capacity": 2}
    world.cloud.capacity.replace([two, {"lifecycle": "spot", "capacity": 0}])
    done = world.run("start", "-c", "bare", "-s", "4", "mycluster", status=1)
    assert "1 of 4 nodes did not get ready: node003." in done.err
    assert "There is no Spot capacity" in done.err
    assert "Try another instance type or zone" in done.err
    assert world.ready() == ["master", "node001", "node002"]
    world.cloud.capacity.replace([])
    world.run("start", "-c", "bare", "mycluster")
    assert world.ready() == ["master", "node001", "node002", "node003"]
    end(world)


def test_capacity_that_comes_back_is_taken(world: World) -> None:
    no_room = {
        "action": "CreateFleet",
        "count": 2,
        "code": "InsufficientInstanceCapacity",
        "status": 500,
    }
    begin(world, no_room, status=0)
    assert world.ready() == ["master", "node001"]
    end(world)


def test_spot_quota_is_named_and_not_asked_for_again(world: World) -> None:
    full = {
        "action": "CreateFleet",
        "code": "MaxSpotInstanceCountExceeded",
        "message": "Max spot instance count exceeded",
    }
    fail(world, full)
    done = world.run("start", "-c", "bare", "-s", "3", "mycluster", status=1)
    assert "Ask AWS for a larger spot quota" in done.err
    assert "2 of 3 nodes did not get ready" in done.err
    assert hits(world) == [1]
    fail(world)
    end(world)


@pytest.mark.parametrize(
    ("action", "message", "named"),
    [
        ("RunInstances", "You are not authorized to perform this operation.", "ec2:RunInstances"),
        (
            "RunInstances",
            "You are not authorized to perform this operation. User: arn:aws:iam::1:user/me is not"
            " authorized to perform: ec2:CreateTags on resource: arn:aws:ec2:*. Encoded"
            " authorization failure message: xyz",
            "ec2:CreateTags",
        ),
        ("CreateSecurityGroup", "You are not authorized.", "ec2:CreateSecurityGroup"),
        ("DescribeImages", "You are not authorized.", "ec2:DescribeImages"),
        ("GetParameter", "You are not authorized.", "ssm:GetParameter"),
    ],
)
def test_unauthorized_says_which_action_the_policy_lacks(
    world: World, action: str, message: str, named: str
) -> None:
    code = "AccessDeniedException" if action == "GetParameter" else "UnauthorizedOperation"
    said = begin(world, {"action": action, "code": code, "message": message, "status": 403})
    assert f"lacks the action {named}" in said
    assert "spotcluster iam-policy" in said
    if world.left():
        assert "terminate mycluster" in said
        end(world)


def test_credentials_that_expire_in_the_middle(world: World) -> None:
    """Nothing can be ended then; the user is told so, and what ends it."""
    launched = {
        "action": "*",
        "skip": 16,
        "code": "ExpiredToken",
        "message": "The provided token has expired.",
        "status": 403,
    }
    said = begin(world, launched)
    assert "The provided token has expired" in said
    assert "aws sso login" in said
    assert "EC2 does not tell what there is of 'mycluster' now" in said
    assert "spotcluster -r us-east-1 terminate mycluster" in said
    end(world)


@pytest.mark.parametrize("action", MAKING)
def test_call_that_took_effect_and_got_no_answer_is_made_once(world: World, action: str) -> None:
    begin(world, {"action": action, "after": True, "drop": True, "count": 2}, status=0)
    assert world.ready() == ["master", "node001"]
    assert {alias: len(there) for alias, there in world.instances().items()} == {
        "master": 1,
        "node001": 1,
    }
    end(world)


def test_answer_that_comes_too_late_is_asked_for_again(world: World) -> None:
    world.change(changes.set_value, "spotcluster.aws.session.READ_TIMEOUT", 1.0)
    begin(world, {"action": "RunInstances", "after": True, "delay": 1.5, "count": 2}, status=0)
    assert world.ready() == ["master", "node001"]
    end(world)


@pytest.mark.parametrize("after", [False, True])
def test_connections_that_are_reset(world: World, after: bool) -> None:
    fail(world, {"action": "*", "drop": True, "after": after, "probability": 0.3})
    live_through(world)
    assert hits(world)[0] > 10


@pytest.mark.parametrize("action", ["TerminateInstances", "DeleteSecurityGroup", "Describe*"])
def test_terminate_whose_calls_get_no_answer(world: World, action: str) -> None:
    begin(world, status=0)
    fail(world, {"action": action, "after": True, "drop": True, "count": 2})
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_terminate_that_may_not_tag_ends_all_the_same(world: World) -> None:
    begin(world, status=0)
    fail(world, {"action": "CreateTags", "code": "UnauthorizedOperation", "status": 403})
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_terminate_that_may_not_terminate_says_so(world: World) -> None:
    begin(world, status=0)
    fail(world, {"action": "TerminateInstances", "code": "UnauthorizedOperation", "status": 403})
    done = world.run("terminate", "-y", "mycluster", status=1)
    assert "ec2:TerminateInstances" in done.err
    fail(world)
    end(world)


def test_faults_can_be_listed_with_how_often_they_applied(world: World) -> None:
    fail(world, {"action": "CreateTags", "delay": 0.01, "skip": 1, "count": 1})
    world.run("start", "-c", "bare", "mycluster")
    listed = json.loads(json.dumps(world.cloud.faults.listed()))
    assert [(rule["hits"], rule["passed"]) for rule in listed] == [(1, 1)]
