"""Nodes that were launched together: their names, and tags that differ from one to the next.

A fleet gives all that it launches the same tags, and one CreateTags call gives many instances the
same ones; a call for each node would be a thousand for a thousand. So the nodes of a launch carry
the block of names that it claimed, of which each has the one that is its place in the order of
their ids. And what differs from node to node is put on many of them as a roll: a few tags that say
who has which value, the same on each, of which a reader takes its own line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from spotcluster.aws import tags

MATES = 84
"""How many instances share a roll: with theirs of names and of keys they stay below 50 tags."""

FEW = 16
"""So many instances at once get their own values in calls of their own, as everybody reads them."""

SAME = "as next-host-key"
"""In place of a node's host key: the one that it has made itself, see `tags.NEXT_HOST_KEY`."""

_LONGEST = 250  # EC2 takes 256 characters in a value
_ID = 10  # of an instance's id, from its end: enough to tell mates apart
_MARK = "@"  # may stand in a tag, and in none of the values


@dataclass(frozen=True)
class Block:
    """Names in a row: those of `count` nodes, from number `first` on."""

    first: int
    count: int

    @property
    def aliases(self) -> list[str]:
        """The names."""
        return [alias(number) for number in range(self.first, self.last + 1)]

    @property
    def label(self) -> str:
        """What its nodes are called together, until each has its name."""
        if self.count == 1:
            return alias(self.first)
        return f"{alias(self.first)}-{alias(self.last)}"

    @property
    def last(self) -> int:
        """The number of the last of them."""
        return self.first + self.count - 1

    @property
    def text(self) -> str:
        """The value of the tag that says so."""
        return f"{self.first} {self.count}"

    @classmethod
    def of(cls, aliases: Sequence[str]) -> Block:
        """Return the block of names that are in a row."""
        return cls(number_of(aliases[0]), len(aliases))

    @classmethod
    def read(cls, own: Mapping[str, str]) -> Block | None:
        """Return the block that something's tags name; None where they name none."""
        found = re.fullmatch(r"(\d{1,9}) (\d{1,5})", own.get(tags.BLOCK, ""))
        return cls(int(found[1]), int(found[2])) if found else None


def alias(number: int) -> str:
    """Return the name of the worker of a number."""
    return f"node{number:03d}"


def number_of(name: str) -> int:
    """Return the number of a worker's name; 0 for what is none."""
    found = re.fullmatch(r"node(\d+)", name)
    return int(found[1]) if found else 0


def pack(key: str, values: Mapping[str, str]) -> dict[str, str]:
    """Return the roll of what the instances `values` have for a tag: tags for each of them.

    Parameters
    ----------
    values : mapping of str to str
        By instance id, `MATES` at most.
    """
    start = _beginning(values.values())
    lines: list[str] = []
    for one, value in sorted(values.items()):
        entry = f"{_MARK}{one[-_ID:]}{value[len(start) :]}"
        if not lines or len(lines[-1]) + len(entry) > _LONGEST:
            lines.append(start)
        lines[-1] += entry
    name = f"{tags.ROLL}{key.removeprefix('spotcluster:')}:"
    return {f"{name}{number:02d}": line for number, line in enumerate(lines)}


def rolls(key: str, values: Mapping[str, str]) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Give rolls of `values`, and the instances that each is for."""
    ids = sorted(values)
    for start in range(0, len(ids), MATES):
        mates = ids[start : start + MATES]
        yield pack(key, {one: values[one] for one in mates}), mates


def resolve(found: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[dict[str, str], bool]]:
    """Return the tags of those instances that share some, each with its own value.

    Parameters
    ----------
    found : mapping of str to mapping of str to str
        The tags of all instances that EC2 shows, by id.

    Returns
    -------
    dict of str to (dict of str to str, bool)
        By id, the tags, and whether the name is one that is not written down yet.
    """
    own = {one: _unpacked(one, given) for one, given in found.items() if _shares(given)}
    nameless: dict[tuple[str, ...], list[str]] = {}
    for one, given in sorted(own.items()):
        if _is_nameless(given):
            nameless.setdefault(_launch(given), []).append(one)
    taken: dict[tuple[str, ...], set[str]] = {}
    for given in own.values():
        taken.setdefault(_launch(given), set()).add(given.get(tags.ALIAS, ""))
    for launch, ids in nameless.items():
        block = Block.read(own[ids[0]])
        assert block
        free = [name for name in block.aliases if name not in taken[launch]]
        for one, name in zip(ids, free, strict=False):
            own[one][tags.ALIAS] = name
    provisional = {one for ids in nameless.values() for one in ids}
    return {one: (given, one in provisional) for one, given in own.items()}


def _beginning(values: Collection[str]) -> str:
    """Return what all values begin with."""
    least, most = min(values), max(values)
    same = (index for index, one in enumerate(least) if not most.startswith(one, index))
    return least[: next(same, len(least))]


def _shares(given: Mapping[str, str]) -> bool:
    return tags.BLOCK in given or any(key.startswith(tags.ROLL) for key in given)


def _launch(given: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(given.get(key, "") for key in (tags.CLUSTER, tags.BLOCK, tags.FLEET))


def _is_nameless(given: Mapping[str, str]) -> bool:
    block = Block.read(given)
    return block is not None and block.count > 1 and given.get(tags.ALIAS) == block.label


def _unpacked(instance_id: str, given: Mapping[str, str]) -> dict[str, str]:
    own = {key: value for key, value in given.items() if not key.startswith(tags.ROLL)}
    for key in sorted(set(given) - set(own)):
        start, *entries = given[key].split(_MARK)
        for entry in entries:
            if entry[:_ID] == instance_id[-_ID:]:
                name = key.removeprefix(tags.ROLL).rpartition(":")[0]
                own[f"spotcluster:{name}"] = start + entry[_ID:]
    if own.get(tags.HOST_KEY) == SAME and tags.NEXT_HOST_KEY in own:
        own[tags.HOST_KEY] = own[tags.NEXT_HOST_KEY]
    return own
