"""Modules under the names that they had in earlier versions, by which pickles of users know them.

A search, or an `Evaluation`, that was pickled names the module of its class. The ledger's pickles
do not: they have nothing of ours in them.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

MOVED = {
    "asha": "kinds.asha",
    "candidates": "data.candidates",
    "curves": "kinds.curves",
    "evaluations": "data.evaluations",
    "folds": "data.folds",
    "grids": "kinds.grids",
    "halving": "kinds.halving",
    "optuna_search": "kinds.optuna_search",
    "parameters": "data.parameters",
    "rungs": "kinds.rungs",
    "splits": "data.splits",
}
"""What could be in such a pickle, by its former place; `Best` is found in the room `results`."""


def answer_to_former_names(package: str) -> None:
    """Let the modules of a package be found by their former names, too."""
    for former, now in MOVED.items():
        module = ModuleType(f"{package}.{former}", f"Moved to {package}.{now}.")
        vars(module)["__getattr__"] = partial(_looked_up, f"{package}.{now}")
        sys.modules[module.__name__] = module


def _looked_up(module: str, name: str) -> Any:
    if name.startswith("__"):  # who goes through all modules must not take it for the real one
        raise AttributeError(name)
    return getattr(import_module(module), name)
