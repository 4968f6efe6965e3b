"""Clusters end by themselves: what EC2 is told of that when nodes are made."""

from __future__ import annotations

import pytest

from .world import World


def on_shutdown(world: World) -> dict[str, str]:
    """Return what becomes of each node when it shuts itself down."""
    return {
        name: one.instance_initiated_shutdown_behavior
        for name, there in world.instances().items()
        for one in there
    }


@pytest.mark.parametrize(
    ("words", "of_master"), [((), "stop"), (("-b", "0.5", "--force-spot-master"), "terminate")]
)
def test_shutdown_from_inside_ends_a_worker_and_keeps_the_disk_of_a_master_that_can_stop(
    world: World, words: tuple[str, ...], of_master: str
) -> None:
    world.run("start", "-c", "bare", "-s", "2", *words, "mycluster")
    assert on_shutdown(world) == {"master": of_master, "node001": "terminate"}
