"""Names of nodes that were launched together, and tags that differ from one to the next."""

from __future__ import annotations

from spotcluster import ssh
from spotcluster.aws import blocks, tags
from spotcluster.aws.blocks import Block


def launched(block: Block, fleet: str = "fleet-1", **more: str) -> dict[str, str]:
    own = {tags.CLUSTER: "c", tags.BLOCK: block.text, tags.ALIAS: block.label, tags.FLEET: fleet}
    return own | more


def names(found: dict[str, dict[str, str]]) -> dict[str, tuple[str, bool]]:
    resolved = blocks.resolve(found)
    return {one: (own[tags.ALIAS], provisional) for one, (own, provisional) in resolved.items()}


def test_names_go_by_the_order_of_ids_whatever_order_they_are_listed_in() -> None:
    block = Block(5, 3)
    found = {one: launched(block) for one in ("i-c", "i-a", "i-b")}
    assert names(found) == {
        "i-a": ("node005", True),
        "i-b": ("node006", True),
        "i-c": ("node007", True),
    }


def test_name_that_is_written_down_is_not_given_again() -> None:
    """The first of them has ended, so long ago that EC2 does not show it."""
    block = Block(1, 3)
    found = {"i-b": launched(block) | {tags.ALIAS: "node002"}, "i-c": launched(block)}
    assert names(found) == {"i-b": ("node002", False), "i-c": ("node001", True)}


def test_names_of_a_fleet_that_failed_are_free_for_the_next() -> None:
    block = Block(1, 2)
    found = {one: launched(block, f"fleet-{one[2]}") for one in ("i-1a", "i-1b", "i-2a", "i-2b")}
    assert [name for name, _ in names(found).values()] == ["node001", "node002"] * 2


def test_name_of_a_node_launched_alone_or_by_a_former_version_is_as_its_tag_says() -> None:
    assert names({"i-a": launched(Block(4, 1))}) == {"i-a": ("node004", False)}
    assert blocks.resolve({"i-a": {tags.CLUSTER: "c", tags.ALIAS: "node001"}}) == {}


def test_thousand_nodes_have_names_and_keys_of_their_own_in_tags_that_ec2_takes() -> None:
    ids = [f"i-0{number * 7919:016x}" for number in range(1000)]
    wanted = {one: f"node{number:03d}" for number, one in enumerate(ids, 1)}
    # Keys of one another's likeness took fewer tags than real ones.
    keys = {one: ssh.keys.bare(ssh.keys.generate().public) for one in ids}
    found = {one: launched(Block(1, 1000), **dict.fromkeys("abcdefgh", "")) for one in ids}
    calls = 0
    for key, values in ((tags.ALIAS, wanted), (tags.NEXT_HOST_KEY, keys)):
        for roll, mates in blocks.rolls(key, values):
            calls += 1
            for one in mates:
                found[one] |= roll
    assert calls == 24
    for own in found.values():
        own[tags.HOST_KEY] = blocks.SAME
        assert len(own) <= 50
        assert all(len(value) <= 256 for value in own.values())
    resolved = blocks.resolve(found)
    assert {one: own[tags.ALIAS] for one, (own, _) in resolved.items()} == wanted
    assert {one: own[tags.HOST_KEY] for one, (own, _) in resolved.items()} == keys
    assert not any(provisional for _, provisional in resolved.values())
    assert not any(key.startswith(tags.ROLL) for own, _ in resolved.values() for key in own)
