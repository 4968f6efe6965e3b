"""NODE_INSTANCE_TYPE: which type each worker is, as StarCluster's users write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from spotcluster.config.names import MOST_NODES, split

_TYPE = re.compile(r"[a-z][a-z0-9-]*\.[a-z0-9-]+")
_IMAGE = re.compile(r"ami-[0-9a-f]{8,17}")


@dataclass(frozen=True)
class NodeGroup:
    """Nodes of one type.

    Attributes
    ----------
    image : str or None
        Their image; None for that of the template.
    count : int or None
        How many; None for all that are left.
    """

    type: str
    image: str | None = None
    count: int | None = None


class NodeTypes(str):
    """``c5.xlarge:2, m5.large``: node001 and node002 are c5.xlarge, all later ones m5.large.

    An item is ``TYPE``, ``TYPE:COUNT``, ``TYPE:IMAGE`` or ``TYPE:IMAGE:COUNT``, one node where no
    count stands; the last is a ``TYPE`` alone, that of the nodes that are left. It stays the text
    that it came from, so that its JSON is what a template with a single type has always had.

    Raises
    ------
    ValueError
        The text is none of this; what is wrong is said in words that follow or quote the item.
    """

    groups: tuple[NodeGroup, ...]
    """Those before the last, in order."""
    rest: NodeGroup
    """The nodes that are left, and the master where nothing else is said of it."""

    def __new__(cls, text: str) -> Self:
        items = [re.sub(r"\s*:\s*", ":", item) for item in split(text)]
        if not items:
            raise ValueError("is not an instance type, as in c5.xlarge")
        made = super().__new__(cls, ", ".join(items))
        made.groups = tuple(_group(item) for item in items[:-1])
        made.rest = _rest(items[-1], alone=len(items) == 1)
        return made

    @property
    def named(self) -> int:
        """How many workers have a type of their own."""
        return sum(group.count or 0 for group in self.groups)

    @property
    def firsts(self) -> list[int]:
        """The numbers of the workers that are the first of a group, or of the rest."""
        return list(accumulate((group.count or 0 for group in self.groups), initial=1))

    def of(self, alias: str) -> NodeGroup:
        """Return what the node `alias` is; it depends on the alias only, so it never changes."""
        found = re.fullmatch(r"node(\d+)", alias)
        number = int(found[1]) if found else self.named + 1
        for group in self.groups:
            number -= group.count or 0
            if number <= 0:
                return group
        return self.rest

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())


def _group(item: str) -> NodeGroup:
    name, *more = item.split(":")
    _check_type(name, item)
    if len(more) > 2:
        raise ValueError(f"'{item}' is not TYPE:COUNT or TYPE:IMAGE:COUNT, as in c5.xlarge:2")
    image = more[0] if len(more) == 2 or (more and _IMAGE.fullmatch(more[0])) else None
    if image and not _IMAGE.fullmatch(image):
        raise ValueError(f"'{image}' in '{item}' is not the id of an image, as in ami-0123abcd")
    count = more[-1] if len(more) == 2 or (more and not image) else "1"
    if not re.fullmatch(r"[0-9]{1,9}", count) or not 0 < int(count) <= MOST_NODES:
        raise ValueError(f"'{count}' in '{item}' is not a number of nodes, as in c5.xlarge:2")
    return NodeGroup(name, image, int(count))


def _rest(item: str, *, alone: bool) -> NodeGroup:
    name, colon, _ = item.partition(":")
    _check_type(name, "" if alone else item)
    if colon:
        raise ValueError(
            f"'{item}' is the last item, so it is of all nodes that are left:"
            f" write '{name}' without a count or an image"
        )
    return NodeGroup(name)


def _check_type(name: str, item: str) -> None:
    if not _TYPE.fullmatch(name):
        subject = f"'{item}' " if item else ""
        raise ValueError(f"{subject}is not an instance type, as in c5.xlarge")
