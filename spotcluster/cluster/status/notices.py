"""What EC2 has said of the machines of spot nodes, and which it has taken back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from spotcluster.aws.instances import Instance
from spotcluster.cluster.status.vitals import Vitals

_TAKEN = "Server.SpotInstanceTermination"


def taken(found: Iterable[Instance]) -> tuple[Instance, ...]:
    """Return the nodes that EC2 has taken back, as far as it still shows them."""
    return tuple(
        one for one in found if one.state in ("shutting-down", "terminated") and _is_taken(one)
    )


def _is_taken(one: Instance) -> bool:
    return one.spot and one.reason.startswith(_TAKEN)


def sentences(gone: Iterable[Instance], said_of: Mapping[str, Vitals | None]) -> list[str]:
    """Return in words which are gone, and what is said of the others; times are local."""
    told = []
    for one in gone:
        when = f" at {_clock(one.ended.timestamp())}" if one.ended else ""
        told.append(f"{one.alias} was taken back{when}.")
    for alias, vitals in said_of.items():
        by_kind = {one["kind"]: one for one in as_json(vitals)}
        if said := by_kind.get("interruption"):
            when = f" at {_clock(said['time'])}" if said["time"] else ""
            told.append(
                f"{alias} is taken back{when}, as EC2 said at {_clock(said['seen'])};"
                " nothing new begins there."
            )
        elif said := by_kind.get("rebalance"):
            since = _clock(said["time"] or said["seen"])
            told.append(f"{alias} may be taken back soon, as EC2 has said since {since}.")
    return told


def as_json(vitals: Vitals | None) -> list[dict[str, Any]]:
    """Return what EC2 has said of a node as plain values; times in UTC, by our clock."""
    if vitals is None:
        return []
    return [
        {
            "kind": one.kind,
            "seen": datetime.fromtimestamp(one.seen - vitals.clock_ahead, UTC).isoformat(),
            "time": one.time.isoformat() if one.time else None,
        }
        for one in vitals.notices
    ]


def _clock(when: float | str) -> str:
    seconds = datetime.fromisoformat(when).timestamp() if isinstance(when, str) else when
    return time.strftime("%H:%M", time.localtime(seconds))
