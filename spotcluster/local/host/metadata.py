"""What a local host reads of itself where a machine of EC2's asks its metadata service: files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from spotcluster import files
from spotcluster.local import clock

from .layout import Layout


class Spot(Protocol):
    """What is asked of an instance; see `spotcluster.local.instances.LocalInstance`."""

    id: str
    lifecycle: str | None
    taken: float
    rebalance: float

    @property
    def state(self) -> str: ...


WARNING = 120.0
"""Seconds before it takes a spot instance back in which EC2 says so."""
_KINDS = ("interruption", "rebalance")


def announce(rules: Iterable[Mapping[str, Any]], instances: Iterable[Spot]) -> None:
    """Have spot instances be told what EC2 tells.

    A rule is a mapping::

        {"instance": "i-...",
         "kind": "interruption",    it is taken back; or "rebalance": it may be soon
         "seconds": 120.0}          until it is taken back

    Raises
    ------
    ValueError
        A rule has an unknown field or kind, or its instance is no spot instance that runs.
    """
    running = {
        one.id: one for one in instances if one.state == "running" and one.lifecycle == "spot"
    }
    for rule in rules:
        if unknown := set(rule) - {"instance", "kind", "seconds"}:
            raise ValueError(f"a rule has no field {sorted(unknown)[0]!r}")
        one, kind = running.get(str(rule.get("instance"))), rule.get("kind", "interruption")
        if one is None:
            raise ValueError(f"{rule.get('instance')} is no spot instance that runs")
        if kind not in _KINDS:
            raise ValueError(f"there is no notice {kind!r}")
        if kind == "rebalance":
            one.rebalance = clock.seconds()
        else:
            one.taken = clock.seconds() + float(rule.get("seconds", WARNING))


def write(layout: Layout, instance: Spot) -> None:
    """Write what its instance is told now."""
    tree = {
        "api/token": "none is needed",
        "meta-data/instance-id": instance.id,
        "meta-data/instance-life-cycle": instance.lifecycle or "on-demand",
    }
    if instance.taken:
        said = {"action": "terminate", "time": _text(instance.taken)}
        tree["meta-data/spot/instance-action"] = json.dumps(said)
    if instance.rebalance:
        said = {"noticeTime": _text(instance.rebalance)}
        tree["meta-data/events/recommendations/rebalance"] = json.dumps(said)
    for name, text in tree.items():
        path = layout.metadata / "latest" / name
        try:
            if path.read_text() == text:
                continue
        except OSError:
            if not layout.etc.is_dir():
                return
        files.write_private(path, text)


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
