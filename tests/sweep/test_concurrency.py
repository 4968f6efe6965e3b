"""Two terminals at once: one held at every call at which it matters what the other one does."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import at_once
from faults.commands import STOP, a_master
from faults.world import World, set_limit


@pytest.fixture
def cluster(world: World) -> World:
    a_master(world)
    return world


@pytest.mark.timeout(2400)
def test_terminate_at_any_moment_of_addnode_leaves_nothing(cluster: World) -> None:
    held = at_once.check_terminate_during_addnode(cluster)
    assert {"CreateFleet", "CreateTags", "DescribeInstances"} <= set(held)


@pytest.mark.timeout(2400)
def test_addnode_at_any_moment_of_terminate_leaves_nothing(cluster: World) -> None:
    held = at_once.check_addnode_during_terminate(cluster)
    assert {"TerminateInstances", "DeleteSecurityGroup", "DescribeInstances"} <= set(held)


@pytest.mark.timeout(2400)
def test_stop_at_any_moment_of_addnode_leaves_nothing_running(cluster: World) -> None:
    held = at_once.check_stop_during_addnode(cluster)
    assert {"CreateFleet", "CreateTags", "DescribeInstances"} <= set(held)


@pytest.mark.timeout(2400)
def test_stop_at_any_moment_of_start_has_an_end_that_start_goes_on_from(
    cluster: World, spotcluster_home: Path
) -> None:
    # A master that has stopped again before anybody saw it run is waited for until then.
    set_limit(spotcluster_home, "LAUNCH_TIMEOUT", 20)
    cluster.run(*STOP)
    assert len(at_once.check_stop_during_start(cluster, each=2)) > 5
