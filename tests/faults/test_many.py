"""Many nodes: what is asked of EC2 for them, by number."""

from __future__ import annotations

from collections import Counter

from . import changes
from .world import World

SHARE = 84  # nodes that share what differs between them, see `spotcluster.aws.blocks.MATES`


def calls_of_a_start(world: World, workers: int) -> Counter[str]:
    world.begin()
    world.run("start", "-c", "bare", "-s", str(workers + 1), "mycluster")
    calls = Counter(one for one in world.calls if ": " not in one)
    assert len(world.ready()) == workers + 1
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []
    return calls


def test_calls_of_a_start_do_not_grow_with_the_nodes(world: World) -> None:
    """But for those tags that differ between nodes, which so many share as fit into them."""
    for name, seconds in {"launch._BEGINNING": 600.0, "together.tagging._LEAST": 600.0}.items():
        # Who is waited for comes: however slow this computer is, they go together.
        world.change(changes.set_value, f"spotcluster.cluster.bringup.{name}", seconds)
    some, many = (calls_of_a_start(world, number) for number in (20, 2 * SHARE + 1))
    # Those that wait for instances to boot follow the clock, see tests of the watcher.
    looks = [one.pop("DescribeInstances") for one in (some, many)]
    assert max(looks) < 20
    names_and_keys = 2
    assert many["CreateTags"] - some["CreateTags"] == 2 * names_and_keys
    assert many.total() - some.total() == 2 * names_and_keys, many - some
    assert many.total() <= 50  # of 60, the rest is for looks
