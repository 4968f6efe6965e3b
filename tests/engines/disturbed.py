"""Searches that something happens to, and waits until they have come so far."""

from __future__ import annotations

from typing import Any

from sklearn.svm import SVC

from spotcluster.search import GridSearch

from .conftest import ALONE, IRIS_GRID, Gated, Machines, until


def launch(
    machines: Machines, files: list[str], pace: float = 0.1, model: Any = None
) -> GridSearch:
    search = GridSearch(machines.client)
    search.launch_for_splits(SVC() if model is None else model, IRIS_GRID, files, pace=pace)
    return search


def launch_gated(machines: Machines, files: list[str], model: Gated) -> GridSearch:
    """Launch one that goes on when all engines have done something, and the gate is open."""
    return launch(machines, files, ALONE, model)


def works_on(search: Any, *nodes: str) -> None:
    until(lambda: search.evaluations_per_node().keys() == set(nodes), f"work on {nodes}")


def finished(search: Any, count: int) -> None:
    until(lambda: search.completed() >= count, f"{count} evaluations")
