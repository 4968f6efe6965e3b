"""The table of engines."""

from __future__ import annotations

from spotcluster.dashboard.snapshot import EngineRow
from spotcluster.dashboard.tables import Cell, Column, Table
from spotcluster.dashboard.views import words

TABLE: Table[EngineRow] = Table(
    [
        Column("engine", "Engine", lambda one: one.id, lambda one: Cell(str(one.id)), number=True),
        Column(
            "node",
            "Node",
            lambda one: (one.node != "master", one.node, one.number),
            lambda one: Cell(one.node),
        ),
        Column(
            "state",
            "State",
            lambda one: one.busy,
            lambda one: Cell("busy", "good") if one.busy else Cell("idle", "quiet"),
        ),
        Column("does", "Works on", lambda one: one.does, lambda one: Cell(one.does)),
        Column(
            "for", "For", lambda o: o.seconds, lambda o: Cell(words.span(o.seconds)), number=True
        ),
        Column(
            "done", "Done", lambda one: one.done, lambda o: Cell(words.count(o.done)), number=True
        ),
    ],
    id=lambda one: str(one.id),
    words=lambda one: f"{one.id} {one.node} {'busy' if one.busy else 'idle'} {one.does}",
    empty="No engine is registered.",
)
