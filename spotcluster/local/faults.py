"""Failing on demand: rules, set by tests, that say which calls fail and how.

A rule is a mapping::

    {"action": "RunInstances",            which call; "*" and "?" stand for any
     "match": {"InstanceType": "c5.*"},   only if these parameters match, as they are sent
     "count": 2,                          how often; none means always
     "probability": 1.0,
     "code": "RequestLimitExceeded",      the error; none means that it does not fail
     "message": "Request limit exceeded.",
     "status": 503,
     "after": false,                      whether the call takes effect before it fails
     "drop": false,                       whether the connection is closed without an answer
     "delay": 0.0,                        seconds that the answer takes longer
     "skip": 0,                           how many calls pass before the rule applies
     "lag": 0,                            how many calls do not know yet of what the call makes
     "tag_lag": 0}                        how many calls do not see its tags yet
"""

from __future__ import annotations

import dataclasses
import fnmatch
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Rule:
    """One rule; `hits` counts how often it applied, `passed` how often it was skipped."""

    action: str = "*"
    match: dict[str, str] = field(default_factory=dict)
    count: int | None = None
    probability: float = 1.0
    code: str = ""
    message: str = ""
    status: int = 400
    after: bool = False
    drop: bool = False
    delay: float = 0.0
    skip: int = 0
    lag: int = 0
    tag_lag: int = 0
    hits: int = 0
    passed: int = 0

    def applies(self, action: str, params: Mapping[str, str]) -> bool:
        """Return whether the rule is about a call."""
        return fnmatch.fnmatchcase(action, self.action) and all(
            fnmatch.fnmatchcase(params.get(name, ""), pattern)
            for name, pattern in self.match.items()
        )


class Faults:
    """The rules in force; the first one that applies to a call decides."""

    def __init__(self, seed: int = 0) -> None:
        self._rules: list[Rule] = []
        self._random = random.Random(seed)  # noqa: S311 - chance that can be repeated is wanted
        self._lock = threading.Lock()

    def replace(self, rules: list[Mapping[str, Any]]) -> None:
        """Put `rules` in the place of those in force.

        Raises
        ------
        ValueError
            If a rule has an unknown field.
        """
        known = {item.name for item in dataclasses.fields(Rule)}
        for rule in rules:
            unknown = set(rule) - known
            if unknown:
                raise ValueError(f"a rule has no field {sorted(unknown)[0]!r}")
        with self._lock:
            self._rules = [Rule(**rule) for rule in rules]

    def listed(self) -> list[dict[str, Any]]:
        """Return the rules in force, with how often each applied."""
        with self._lock:
            return [dataclasses.asdict(rule) for rule in self._rules]

    def pick(self, action: str, params: Mapping[str, str]) -> Rule | None:
        """Return the rule that decides about a call, and count it."""
        with self._lock:
            for rule in self._rules:
                used_up = rule.count is not None and rule.hits >= rule.count
                if used_up or not rule.applies(action, params):
                    continue
                if rule.passed < rule.skip:
                    rule.passed += 1
                    continue
                if self._random.random() >= rule.probability:
                    continue
                rule.hits += 1
                return rule
        return None
