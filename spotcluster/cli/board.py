"""What `status` shows, drawn; apart from the command, since rich takes long to import."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table

from spotcluster import wording
from spotcluster.cli import output, tables
from spotcluster.cli.output import Text

if TYPE_CHECKING:
    from spotcluster.cluster.status.controller import Engine
    from spotcluster.cluster.status.observer import NodeStatus, Status
    from spotcluster.cluster.status.vitals import RunningJob

_NEAR = 300.0  # seconds before a cluster ends by itself in which that stands out
_COLOURS = {
    "ready": "green",
    "running": "green",
    "draining": "yellow",
    "unreachable": "red",
    "not set up": "yellow",
}


def picture(
    seen: Status, searches: Sequence[dict[str, Any]], width: int, height: int | None = None
) -> RenderableType:
    """Return a status for a terminal of `width` columns, and lines if it is to fit into them."""
    from spotcluster.cluster.status import listing

    up = f", up {listing.uptime(seen.up_since)}" if seen.up_since else ""
    head = Text.assemble(
        (f"{seen.name}: ", "bold"),
        (seen.state, _COLOURS.get(seen.state, "yellow")),
        f", {listing.counted([one.instance for one in seen.nodes], seen.size)}"
        f" in {seen.region}{up}, {output.dollars(seen.price)}, {wording.spent(seen.cost)}",
    )
    parts: list[RenderableType] = [head, *_idle(seen), Text(), *_nodes(seen, width)]
    engines = seen.controller.engines if seen.controller else ()
    for one in searches:
        parts += [Text(), *_search(one)]
    if seen.jobs:
        parts += [Text(), *(_job(job, seen.clock_ahead) for job in seen.jobs)]
    if seen.controller is None and not seen.problem:
        parts += [Text(), Text("The controller is being asked …", style="dim")]
    if seen.state == "stopped":
        parts += [Text(), Text(f"`spotcluster start {seen.name}` brings it back.")]
    elif seen.state == "incomplete":
        parts += [Text(), Text(listing.what_mends(seen.name, seen.region))]
    if seen.problem and seen.state != "stopped":
        parts += [Text(), Text(f"The controller does not answer: {seen.problem}", style="yellow")]
    if seen.controller:
        queue = seen.controller
        line = f"Messages: {queue.waiting} waiting, {queue.running} running, {queue.done} done"
        parts += [Text(), Text(line)]
        room = None if height is None else max(1, height - _lines(Group(*parts), width) - 2)
        parts.append(_engines(engines, seen.clock_ahead, room))
    return Group(*parts)


def _idle(seen: Status) -> list[Text]:
    """Return when the cluster ends by itself, as its master says, and how near its ceiling is."""
    from spotcluster.cluster.status import events

    ceiling = [Text(one.text, style="bold yellow") for one in events.near_ceiling(seen)]
    ceiling += _keeper(seen)
    said = seen.of_master
    if said is None or said.idle_left is None:
        return ceiling
    if seen.busy:
        return [
            *ceiling,
            Text(f"It does not end by itself while it has {wording.listed(seen.busy)}."),
        ]
    left = wording.time_left(max(0.0, said.idle_left))
    near = said.idle_left <= _NEAR
    text = f"It is idle and ends by itself in {left}; `spotcluster autostop {seen.name}` postpones."
    return [*ceiling, Text(text, style="bold yellow" if near else "")]


def _keeper(seen: Status) -> list[Text]:
    """Return whether the master keeps the cluster's size, where it is to."""
    if not seen.keeps_itself or seen.of_master is None:
        return []
    if seen.of_master.keeper_runs:
        text = f"Its master replaces what is lost; `spotcluster keep --log {seen.name}` says how."
        return [Text(text)]
    text = (
        "Its master is to replace what is lost, and that service does not run;"
        f" `spotcluster keep --on-master {seen.name}` starts it."
    )
    return [Text(text, style="bold yellow")]


def _lines(drawn: RenderableType, width: int) -> int:
    console = Console(width=width, highlight=False, emoji=False)
    return len(console.render_lines(drawn, pad=False))


def _nodes(seen: Status, width: int) -> list[RenderableType]:
    """Return the nodes as one table, or as several where that is too wide."""
    from spotcluster.cluster.status import notices

    columns = (
        *("node", "state", "type", "market", "address", "uptime", "price"),
        *("engines", "load", "memory"),
    )
    rows = [(*_about(node), *_does(node, seen)) for node in seen.nodes]
    problems = [
        f"{node.alias}: {problem}" for node in seen.nodes if (problem := seen.problem_of(node))
    ]
    vitals = {node.alias: node.vitals for node in seen.nodes}
    remarks = [*problems, *notices.sentences(seen.taken, vitals)]
    said = [Text(one, style="yellow") for one in remarks]
    nodes = tables.fitted(columns, rows, width, header_style="dim")
    return [*nodes, *([Text(), *said] if said else [])]


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _about(node: NodeStatus) -> list[Text]:
    from spotcluster.cluster.status import listing

    one = node.instance
    runs = one.state in ("pending", "running")
    return [
        Text(one.alias, style="bold"),
        Text(node.state, style=_COLOURS.get(node.state, "dim")),
        Text(one.type),
        Text("spot" if one.spot else "on demand"),
        Text(one.address or "-"),
        Text(listing.uptime(one.launched) if runs else "-"),
        Text(output.dollars(node.price) if runs else "-"),
    ]


def _does(node: NodeStatus, seen: Status) -> list[Text]:
    vitals = node.vitals
    stale = "dim" if node.problem else ""
    engines = "-"
    if seen.controller:
        own = [one for one in seen.controller.engines if one.node == node.alias]
        busy = sum(one.message is not None for one in own)
        engines = f"{len(own)}, {busy} busy" if own else "none"
    if vitals is None:
        return [Text(engines), Text("-"), Text("-")]
    load = f"{vitals.load[0]:.2f} of {vitals.cores}" if vitals.load else "-"
    total = f"{vitals.memory_total_mb / 1024:.1f} GiB"
    used = vitals.memory_used_mb
    memory = total if used is None else f"{used / 1024:.1f} of {total}"
    return [Text(engines), Text(load, style=stale), Text(memory, style=stale)]


def _search(one: Mapping[str, Any]) -> list[RenderableType]:
    """Return a search: how far it is, and its leaders; see `published.merged`."""
    done, total, state = one["done"], one["total"], one["state"]
    colour = {"running": "cyan", "finished": "green"}.get(state, "yellow")
    figures = [f"{100 * done // total if total else 0}%"]
    if state != "running":
        figures.append(state)
    if one.get("per_second"):
        figures.append(f"{one['per_second']:.2g} a second")
    if one.get("seconds_left"):
        figures.append(f"{wording.duration(one['seconds_left'])} left")
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(one["kind"], style="bold"),
        ProgressBar(total=max(total, 1), completed=done, width=16, complete_style=colour)
        if output.out.is_terminal
        else "",
        Text(f"{done}/{total} evaluations", style=colour),
        Text("  ".join(figures), style="dim"),
    )
    parts: list[RenderableType] = [head]
    if one["bests"]:
        leaders = _table("", "validation", "splits", "parameters")
        for rank, best in enumerate(one["bests"], start=1):
            leaders.add_row(
                Text(str(rank)),
                Text(_score(best["validation"], best["validation_error"])),
                Text(f"{best['finished']}/{best['splits']}"),
                Text(_params(best)),
                style="bold" if rank == 1 else "",
            )
        parts.append(leaders)
    remarks = list(one["remarks"])
    if state == "silent":
        since = time.strftime("%H:%M:%S", time.localtime(one["updated"]))
        remarks.append(f"It has said nothing since {since}: its process may have been killed.")
    # A traceback's last line may bring colours of its own.
    return [*parts, *(Text(Text.from_ansi(one).plain, style="yellow") for one in remarks)]


def _job(job: RunningJob, clock_ahead: float) -> Text:
    took = wording.duration(time.time() + clock_ahead - job.started)
    name = f"Job {job.id}"
    text = Text(f"{name}, for {took}: {shlex.join(job.command)}")
    text.stylize("bold", 0, len(name))
    return text


def _score(mean: float | None, error: float | None) -> str:
    if mean is None:
        return "-"
    return f"{mean:.5f}" if error is None else f"{mean:.5f} ± {error:.5f}"


def _engines(engines: Sequence[Engine], clock_ahead: float, room: int | None) -> RenderableType:
    """Return what engines do, as many of them as there is room for; the busy ones first then."""
    if not engines:
        return Text("No engine is registered.", style="yellow")
    order = sorted(engines, key=lambda one: (one.node != "master", one.node, one.number, one.id))
    left_out = 0
    if room is not None and len(order) + 1 > room:
        order.sort(key=lambda one: one.message is None)
        left_out = len(order) - max(1, room - 2)
        order = order[: len(order) - left_out]
    table = _table("engine", "on", "does", "for")
    for one in order:
        doing, since = _doing(one, clock_ahead)
        table.add_row(
            Text(str(one.id), style="bold"),
            Text(f"{one.node} {one.number}" if one.node else "elsewhere"),
            doing,
            Text(since),
        )
    if not left_out:
        return table
    return Group(table, Text(f"and {left_out} more engines", style="dim"))


def _doing(one: Engine, clock_ahead: float) -> tuple[Text, str]:
    if one.message is None:
        return Text("idle", style="dim"), ""
    since = one.message.since
    took = "" if since is None else wording.duration(time.time() + clock_ahead - since.timestamp())
    label = one.message.label
    if not label:
        return Text("a task"), took
    more = label["evaluations"] - 1
    and_more = f" and {more} more" if more else ""
    return Text(f"{label['kind']}: {_params(label)}, split {label['split']}{and_more}"), took


def _params(one: Mapping[str, Any]) -> str:
    pairs = one["params"].items()
    return ", ".join(f"{name}={_short(value)}" for name, value in pairs) or "(no parameters)"


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
