"""The table of nodes."""

from __future__ import annotations

from spotcluster.dashboard.snapshot import NodeRow
from spotcluster.dashboard.tables import Cell, Column, Table
from spotcluster.dashboard.views import words

_TONES = {
    "ready": "good",
    "unreachable": "bad",
    "draining": "warn",
    "not set up": "warn",
    "pending": "warn",
}


def _state(one: NodeRow) -> Cell:
    return Cell(one.state, _TONES.get(one.state, "quiet"), one.problem)


def _engines(one: NodeRow) -> Cell:
    if one.engines is None:
        return Cell(words.NONE, "quiet")
    return Cell(f"{one.busy} of {one.engines} busy" if one.engines else "none")


TABLE: Table[NodeRow] = Table(
    [
        Column("node", "Node", lambda one: (not one.is_master, one.alias), lambda o: Cell(o.alias)),
        Column("state", "State", lambda one: one.state, _state),
        Column("type", "Type", lambda one: one.type, lambda one: Cell(one.type)),
        Column("zone", "Zone", lambda one: one.zone, lambda one: Cell(one.zone)),
        Column(
            "market",
            "Market",
            lambda one: one.spot,
            lambda one: Cell("spot" if one.spot else "on demand"),
        ),
        Column("engines", "Engines", lambda one: one.busy, _engines, number=True),
        Column(
            "load", "Load", lambda one: one.load, lambda o: words.load(o.load, o.cores), number=True
        ),
        Column(
            "memory",
            "Memory",
            lambda one: one.memory_used_mb,
            lambda one: words.memory(one.memory_used_mb, one.memory_total_mb),
            number=True,
        ),
        Column(
            "uptime", "Up", lambda o: o.uptime, lambda o: Cell(words.span(o.uptime)), number=True
        ),
        Column(
            "price", "Price", lambda o: o.price, lambda o: Cell(words.rate(o.price)), number=True
        ),
        Column(
            "cost", "Cost", lambda one: one.cost, lambda o: Cell(words.money(o.cost)), number=True
        ),
    ],
    id=lambda one: one.alias,
    words=lambda one: (
        f"{one.alias} {one.state} {one.type} {one.zone} {'spot' if one.spot else 'on demand'}"
        f" {one.problem}"
    ),
    empty="EC2 shows no node of it.",
)


def problems(nodes: tuple[NodeRow, ...]) -> list[str]:
    """Return what is wrong, a sentence a node."""
    return [f"{one.alias}: {one.problem}" for one in nodes if one.problem]
