"""A cluster as `status --json` shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from spotcluster.cluster.status import listing, notices

if TYPE_CHECKING:
    from spotcluster.cluster.status.controller import Answer
    from spotcluster.cluster.status.observer import NodeStatus, Status
    from spotcluster.cluster.status.vitals import RunningJob


def as_json(status: Status, searches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a status as plain values for ``--json``; times in UTC."""
    now = datetime.now(UTC)
    answer = status.controller
    return {
        "name": status.name,
        "region": status.region,
        "state": status.state,
        "created": status.created.isoformat(),
        "uptime_seconds": listing.seconds_since(status.up_since),
        "size": status.size,
        "usd_per_hour": status.price,
        "budget_usd": status.budget,
        "usd_so_far": None if status.cost is None else round(status.cost, 6),
        "nodes": [
            _node_as_json(one, answer, now) | {"problem": status.problem_of(one) or None}
            for one in status.nodes
        ],
        "controller": {"answers": answer is not None and not status.problem}
        | {"problem": status.problem or None},
        "engines": [
            {
                "id": one.id,
                "node": one.node or None,
                "number": one.number or None,
                "state": "idle" if one.message is None else "busy",
                "since": one.message.since.isoformat()
                if one.message and one.message.since
                else None,
                "task": _task_as_json(one.message.label) if one.message else None,
                "done": one.done,
            }
            for one in (answer.engines if answer else ())
        ],
        "queue": {"waiting": answer.waiting, "running": answer.running, "done": answer.done}
        if answer
        else None,
        "autostop": None
        if status.of_master is None
        else {"seconds_left": status.of_master.idle_left, "busy": list(status.busy)},
        "keeper": None
        if not status.keeps_itself or status.of_master is None
        else {"runs": status.of_master.keeper_runs},
        "taken_back": [
            {
                "alias": one.alias,
                "id": one.id,
                "at": one.ended.isoformat() if one.ended else None,
            }
            for one in status.taken
        ],
        "jobs": None
        if status.jobs is None
        else [_job_as_json(one, status.clock_ahead) for one in status.jobs],
        "searches": [_search_as_json(one) for one in searches],
    }


def _job_as_json(job: RunningJob, clock_ahead: float) -> dict[str, Any]:
    started = datetime.fromtimestamp(job.started - clock_ahead, UTC).isoformat()
    return {"id": job.id, "command": list(job.command), "started": started}


def _task_as_json(label: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a message is; how far its search is, is said elsewhere."""
    wanted = ("search", "kind", "params", "split", "evaluations")
    return {name: label[name] for name in wanted} if label else None


def _search_as_json(one: Mapping[str, Any]) -> dict[str, Any]:
    times = {
        name: None if one[name] is None else datetime.fromtimestamp(one[name], UTC).isoformat()
        for name in ("started", "updated")
    }
    # Of the way it is told, not of the search.
    own = ("format", "controller", "running", "here", "on_master")
    return {name: value for name, value in one.items() if name not in own} | times


def _node_as_json(node: NodeStatus, answer: Answer | None, now: datetime) -> dict[str, Any]:
    one, vitals = node.instance, node.vitals
    return {
        "alias": one.alias,
        "id": one.id,
        "state": node.state,
        "ready": one.ready,
        "reachable": vitals is not None and not node.problem,
        "type": one.type,
        "spot": one.spot,
        "zone": one.zone,
        "public_ip": one.public_ip or None,
        "private_ip": one.private_ip or None,
        "ssh_port": one.ssh_port,
        "launched": one.launched.isoformat(),
        "uptime_seconds": int((now - one.launched).total_seconds())
        if one.state in ("pending", "running")
        else None,
        "usd_per_hour": node.price,
        "engines": sum(engine.node == one.alias for engine in answer.engines) if answer else None,
        "cores": vitals.cores if vitals else None,
        "load": list(vitals.load) if vitals else None,
        "memory_total_mb": vitals.memory_total_mb if vitals else None,
        "memory_used_mb": vitals.memory_used_mb if vitals else None,
        "notices": notices.as_json(vitals),
    }
