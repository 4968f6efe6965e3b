"""The searches: how far each is, its leaders, and what has failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spotcluster.dashboard.scores import Failure, Scores
from spotcluster.dashboard.snapshot import SearchRow, Snapshot, short
from spotcluster.dashboard.tables import Cell, Column, Table, Wish
from spotcluster.dashboard.views import words
from spotcluster.dashboard.views.record import moment

_TONES = {"running": "good", "finished": "good", "silent": "bad", "stopped": "warn"}
_SAID = {"silent": "says nothing"}


def ordered(seen: Snapshot) -> list[SearchRow]:
    """Return the searches: those that run first, then the latest."""
    return sorted(seen.searches, key=lambda one: (one.state != "running", -one.started))


def chosen(seen: Snapshot, wanted: str | None) -> SearchRow | None:
    """Return the search that a page shows: the one it asks for, or else the first."""
    every = ordered(seen)
    return next((one for one in every if one.id == wanted), every[0] if every else None)


def choices(seen: Snapshot, shown: SearchRow | None) -> dict[str, Any]:
    """Return what there is to choose from."""
    return {
        "chosen": shown.id if shown else "",
        "choices": [
            {
                "id": one.id,
                "label": f"{one.kind}, {moment(one.started, seen.taken_at)}:"
                f" {_state(one)}, {one.done:,} of {one.total:,}",
            }
            for one in ordered(seen)
        ],
    }


def _state(one: SearchRow) -> str:
    return _SAID.get(one.state, one.state)


def detail(seen: Snapshot, one: SearchRow | None) -> dict[str, Any]:
    """Return how far a search is, and its leaders."""
    if one is None:
        return {"none": "No search has told of itself yet. Launch one with spotcluster.search."}
    figures = []
    if one.state == "running":
        figures.append(("Left", words.span(one.seconds_left) if one.seconds_left else words.NONE))
        speed = f"{one.per_second:.3g} a second" if one.per_second else words.NONE
        figures.append(("Speed", speed))
    scores = seen.scores.get(one.id)
    figures.append(("Failed", words.count(scores.failed) if scores else words.NONE))
    figures.append(("Begun", moment(one.started, seen.taken_at)))
    return {
        "id": one.id,
        "kind": one.kind,
        "state": _state(one),
        "tone": _TONES.get(one.state, "quiet"),
        "done": one.done,
        "total": one.total,
        "percent": int(100 * one.done / one.total) if one.total else 0,
        "figures": figures,
        "remarks": list(one.remarks),
        "problem": scores.problem if scores else "",
        "can_abort": one.state == "running" and (one.here or one.on_master),
        "leaders": _leaders(one),
    }


def _leaders(one: SearchRow) -> dict[str, Any]:
    """Return the best candidates, with a column for each parameter."""
    names = list(dict.fromkeys(name for best in one.bests for name in best["params"]))
    columns = ["Rank", "Validation score", "Training score", *names, "Splits"]
    rows = []
    for rank, best in enumerate(one.bests, 1):
        rows.append(
            [
                str(rank),
                _score(best, "validation"),
                _score(best, "train"),
                *(short(best["params"].get(name, words.NONE)) for name in names),
                f"{best['finished']} of {best['splits']}",
            ]
        )
    return {"columns": columns, "rows": rows}


def _score(best: Mapping[str, Any], kind: str) -> str:
    mean, error = best.get(kind), best.get(f"{kind}_error")
    if mean is None:
        return words.NONE
    return f"{mean:.5f}" + ("" if error is None else f" ± {error:.5f}")


FAILURES: Table[Failure] = Table(
    [
        Column("at", "Time", lambda one: one.at, lambda one: Cell(moment(one.at, one.at))),
        Column("node", "Node", lambda one: one.node, lambda one: Cell(one.node or words.NONE)),
        Column(
            "engine",
            "Engine",
            lambda one: one.engine,
            lambda one: Cell(words.NONE if one.engine is None else str(one.engine)),
            number=True,
        ),
        Column("params", "Parameters", lambda one: one.params, lambda one: Cell(one.params)),
        Column("split", "Split", lambda one: one.split, lambda o: Cell(str(o.split)), number=True),
        Column("error", "Error", lambda one: one.reason, lambda one: Cell(one.reason, "bad")),
    ],
    id=lambda one: f"{one.params} {one.split}",
    words=lambda one: f"{one.node} {one.params} {one.reason}",
    empty="Nothing has failed.",
    rows=8,
)


def failures(scores: Scores | None, wish: Wish) -> dict[str, Any]:
    """Return the failures, with the traceback of each."""
    of = scores.failures if scores else ()
    part = FAILURES.part(of, wish)
    text = {FAILURES.id(one): one.error for one in of}
    for row in part["rows"]:
        row["more"] = text[row["id"]]
    return part
