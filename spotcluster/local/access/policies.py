"""What IAM says to a call: the statements of policy documents, and what a call is about.

Of IAM's language there is what policies for EC2 are made of: allowing and denying, wildcards, and
conditions on tags. An operator that is not known here never lets anything through.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Question:
    """One thing that a call does to one resource.

    Attributes
    ----------
    action : str
        As ``ec2:RunInstances``.
    resource : str
        The ARN, or ``*`` where the action is about none.
    context : mapping of str to sequence of str
        What conditions can ask for: ``aws:ResourceTag/NAME``, ``aws:TagKeys`` and the like.
    """

    action: str
    resource: str = "*"
    context: Mapping[str, Sequence[str]] = field(default_factory=dict)


def allows(documents: Iterable[Mapping[str, Any]], asked: Question) -> bool:
    """Return whether some statement allows it, and none denies it."""
    allowed = False
    for document in documents:
        for statement in _listed(document.get("Statement")):
            denies = statement.get("Effect") == "Deny"
            if not _is_about(statement, asked) or not _holds(statement, asked, otherwise=denies):
                continue
            if denies:
                return False
            allowed = allowed or statement.get("Effect") == "Allow"
    return allowed


def _is_about(statement: Mapping[str, Any], asked: Question) -> bool:
    actions = [one.lower() for one in _listed(statement.get("Action"))]
    if not any(fnmatch.fnmatchcase(asked.action.lower(), one) for one in actions):
        return False
    named = _listed(statement.get("Resource"))
    if asked.resource == "*":
        return "*" in named
    return any(fnmatch.fnmatchcase(asked.resource, one) for one in named)


def _holds(statement: Mapping[str, Any], asked: Question, *, otherwise: bool) -> bool:
    """Return whether all conditions of a statement hold; `otherwise` where one is not known."""
    for operator, wanted in statement.get("Condition", {}).items():
        check = _OPERATORS.get(operator)
        if check is None:
            if not otherwise:
                return False
            continue
        for key, values in wanted.items():
            if not check(asked.context.get(key, ()), [str(one) for one in _listed(values)]):
                return False
    return True


def _is_null(found: Sequence[str], values: Sequence[str]) -> bool:
    return str(not found).lower() in [one.lower() for one in values]


def _equals(found: Sequence[str], values: Sequence[str]) -> bool:
    return bool(set(found) & set(values))


def _is_like(found: Sequence[str], values: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(one, pattern) for one in found for pattern in values)


def _has_none(found: Sequence[str], values: Sequence[str]) -> bool:
    return not set(found) & set(values)


_OPERATORS: dict[str, Callable[[Sequence[str], Sequence[str]], bool]] = {
    "Null": _is_null,
    "StringEquals": _equals,
    "StringLike": _is_like,
    "StringNotEquals": _has_none,
    "ForAllValues:StringNotEquals": _has_none,
}


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
