"""Pools that hold so many instances and no more, where that was told.

A pool is an instance type in a zone. A rule is a mapping::

    {"instance_type": "c5.*",     which; "*" and "?" stand for any
     "zone": "us-east-1a",
     "lifecycle": "spot",         "spot" or "on-demand"; "*" counts both together
     "capacity": 3}               instances that it holds; none means any number

The first rule that is about a pool decides; a pool that none is about holds any number.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """How many instances a pool holds."""

    instance_type: str = "*"
    zone: str = "*"
    lifecycle: str = "*"
    capacity: int | None = None

    def concerns(self, instance_type: str, zone: str, lifecycle: str) -> bool:
        """Return whether the rule is about instances of this kind."""
        return (
            fnmatch.fnmatchcase(instance_type, self.instance_type)
            and fnmatch.fnmatchcase(zone, self.zone)
            and self.lifecycle in ("*", lifecycle)
        )


class Capacity:
    """The rules in force."""

    def __init__(self) -> None:
        self._rules: tuple[Rule, ...] = ()

    def replace(self, rules: Iterable[Mapping[str, Any]]) -> None:
        """Put `rules` in the place of those in force.

        Raises
        ------
        ValueError
            If a rule has an unknown field.
        TypeError
            If it is no mapping.
        """
        known = {item.name for item in dataclasses.fields(Rule)}
        made = []
        for rule in rules:
            if unknown := set(rule) - known:
                raise ValueError(f"a rule has no field {sorted(unknown)[0]!r}")
            made.append(Rule(**rule))
        self._rules = tuple(made)

    def listed(self) -> list[dict[str, Any]]:
        """Return the rules in force."""
        return [dataclasses.asdict(rule) for rule in self._rules]

    def left(
        self, instance_type: str, zone: str, lifecycle: str, taken: Iterable[tuple[str, str, str]]
    ) -> float:
        """Return how many more instances a pool holds.

        Parameters
        ----------
        instance_type, zone, lifecycle : str
            The pool, and what is wanted of it.
        taken : iterable of (instance type, zone, lifecycle)
            What there is already.
        """
        for rule in self._rules:
            if rule.concerns(instance_type, zone, lifecycle):
                if rule.capacity is None:
                    return float("inf")
                there = sum(
                    (kind, place) == (instance_type, zone) and rule.lifecycle in ("*", cycle)
                    for kind, place, cycle in taken
                )
                return max(0, rule.capacity - there)
        return float("inf")
