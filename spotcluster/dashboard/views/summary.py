"""The head of the page, the figures at its top, and what is asked before something is done."""

from __future__ import annotations

from statistics import mean
from typing import Any

from spotcluster.cluster.status import listing
from spotcluster.dashboard.snapshot import Snapshot
from spotcluster.dashboard.views import nodes, words

_TONES = {"running": "good", "incomplete": "warn", "stopped": "warn", "terminated": "bad"}
_NEAR = 300.0  # seconds
_NEARLY = 0.8  # of a budget


def head(seen: Snapshot) -> dict[str, Any]:
    """Return the name, the state, and when what is shown was said."""
    return {
        "name": seen.name,
        "region": seen.region,
        "state": seen.state,
        "tone": _TONES.get(seen.state, "quiet"),
        "taken": seen.taken_at,
        "answered": {who: when for who, when in seen.answered.items() if when is not None},
        "silent": [who for who, when in seen.answered.items() if when is None],
        "gone": seen.gone,
        "remarks": remarks(seen),
        "last": seen.events[0].text if seen.events else "",
    }


def remarks(seen: Snapshot) -> list[str]:
    """Return what the user should know, a sentence each."""
    found = [*seen.remarks]
    if seen.problem and seen.state not in ("stopped", "terminated"):
        found.append(f"The controller does not answer: {seen.problem}")
    if seen.state == "incomplete":
        found.append(listing.what_mends(seen.name, seen.region))
    wrong = nodes.problems(seen.nodes)
    found += wrong[:5]
    if len(wrong) > 5:
        found.append(f"and {len(wrong) - 5} more nodes; sort the nodes by their state.")
    if seen.keeper is False:
        found.append("Its master is to replace what is lost, and that service does not run.")
    return found


def figures(seen: Snapshot) -> list[dict[str, str]]:
    """Return the figures at the top: what each is, its value, and more of it."""
    ready = sum(one.state == "ready" for one in seen.nodes)
    spot = sum(one.spot for one in seen.nodes)
    busy = sum(one.busy for one in seen.engines)
    known = seen.done is not None
    return [
        _figure(
            "Nodes",
            f"{ready:,} of {max(seen.size, len(seen.nodes)):,}",
            f"ready; {spot:,} spot",
            "" if ready >= seen.size else "warn",
        ),
        _figure(
            "Engines",
            f"{busy:,} of {len(seen.engines):,}" if known else words.NONE,
            "busy" if known else "not known",
        ),
        _figure(
            "Queue",
            words.count(seen.waiting),
            f"waiting; {seen.running:,} running, {seen.done:,} done" if known else "not known",
        ),
        _figure("Price", words.rate(seen.price), "all nodes and their disks"),
        _cost(seen),
        _end(seen),
    ]


def _figure(label: str, value: str, more: str, tone: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "more": more, "tone": tone}


def _cost(seen: Snapshot) -> dict[str, str]:
    if seen.budget is None or seen.cost is None:
        return _figure("Cost so far", words.money(seen.cost), "no budget is set")
    near = seen.cost >= _NEARLY * seen.budget
    more = f"{words.money(seen.budget_left)} left of {words.money(seen.budget)}"
    return _figure("Cost so far", words.money(seen.cost), more, "bad" if near else "")


def _end(seen: Snapshot) -> dict[str, str]:
    hours = seen.hours_left
    more = "" if hours is None else f"; MAX_HOURS in {words.span(hours * 3600)}"
    if seen.ends_in is None:
        known = seen.answered.get("the master") is not None
        text = "no autostop" if known else "not known"
        return _figure("Ends by itself", words.NONE, text + more)
    if seen.busy_with:
        said = f"not while it has {', '.join(seen.busy_with)}"
        return _figure("Ends by itself", "not now", said + more)
    near = "bad" if seen.ends_in <= _NEAR else ""
    return _figure("Ends by itself", words.span(seen.ends_in), f"if it stays idle{more}", near)


def questions(seen: Snapshot) -> dict[str, list[str]]:
    """Return by action what is said before it is done."""
    workers = [one for one in seen.nodes if not one.is_master]
    running = [one for one in seen.jobs if one.state == "running"]
    searching = [one for one in seen.searches if one.state == "running"]
    lost = []
    if running:
        lost.append(f"{words.plural(len(running), 'job')} still running would be cut off.")
    if searching:
        lost.append(
            f"{words.plural(len(searching), 'search')} still running would lose every engine;"
            " what is finished stays in the ledger."
        )
    known = [one.price for one in workers if one.price is not None]
    price = "What a node costs is known when there is one."
    if known:
        kinds = sorted({f"{one.type}, {'spot' if one.spot else 'on demand'}" for one in workers})
        price = (
            f"Each of the {words.plural(len(known), 'worker')} there are ({'; '.join(kinds[:3])})"
            f" costs {words.rate(mean(known))} on average now. Nodes are paid from their launch on."
        )
    return {
        "add": [f"Nodes join '{seen.name}' in {seen.region}; what runs there goes on.", price],
        "remove": [
            "What they compute is finished first; then they are terminated, and their disks are"
            " deleted.",
        ],
        "abort": [
            "Nothing more of it is sent to engines. What is finished stays, and the search can be"
            " resumed from its ledger."
        ],
        "postpone": [
            "Its idle time is counted anew. Give another limit, such as 2h, or off; leave it empty"
            " to keep the one there is."
        ],
        "terminate": [
            f"All {words.plural(len(seen.nodes), 'node')} of '{seen.name}' in {seen.region} end,"
            " and their disks are deleted; volumes are kept.",
            f"It has cost {words.money(seen.cost)} so far and costs {words.rate(seen.price)};"
            " after that it costs nothing more.",
            *lost,
        ],
    }
