"""A pytest plugin: scikit-learn's own tests of searches, with ours under the names of its.

They come with the installed scikit-learn, so they are those of the version that is locked. The
searches are real ones, on two engines; only their constructor is called as scikit-learn's is.
What differs on purpose is in ``sklearn_differences.txt``, each line with its reason, and may fail.

    PYTHONPATH=tests:tests/others pytest -c tests/others/pytest.ini -p sklearn_searches \\
        --pyargs sklearn.model_selection.tests.test_search
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import differences
import pytest
from engines.conftest import Machines
from sklearn import model_selection
from sklearn.experimental import enable_halving_search_cv  # noqa: F401

from spotcluster import search

NAMES = {
    "GridSearchCV": (search.GridSearch, "grid", "param_grid"),
    "RandomizedSearchCV": (search.RandomizedSearch, "distributions", "param_distributions"),
    "HalvingGridSearchCV": (search.HalvingGridSearch, "grid", "param_grid"),
    "HalvingRandomSearchCV": (search.HalvingRandomSearch, "distributions", "param_distributions"),
}
NOT_OURS = ("n_jobs", "pre_dispatch", "verbose")
STACK = ExitStack()


@cache
def view() -> Any:
    """Return a view of engines that are started when the first search wants them."""
    folder = tempfile.mkdtemp(prefix="sc-")
    STACK.callback(shutil.rmtree, folder, ignore_errors=True)
    machines = Machines(Path(folder))
    STACK.callback(machines.close)
    machines.start("node001", 2)
    return machines.client.load_balanced_view()


class Kind(type):
    """Makes a class that is called as scikit-learn's, and whose objects are ours."""

    ours: Any
    space: str
    theirs: str

    def __call__(cls, estimator: Any = None, *space: Any, **given: Any) -> Any:
        given.update(zip([cls.theirs], space, strict=False))
        if cls.ours is search.RandomizedSearch:
            given.setdefault("n_iter", 10)
        if cls.theirs in given:
            given[cls.space] = given.pop(cls.theirs)
        return cls.ours(view(), estimator, **without(given))

    def __instancecheck__(cls, thing: object) -> bool:
        return isinstance(thing, cls.ours)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.ours, name)


def without(given: dict[str, Any]) -> dict[str, Any]:
    """Return settings without those that are of how scikit-learn runs, not of what."""
    return {name: value for name, value in given.items() if name not in NOT_OURS}


def set_params(self: Any, **given: Any) -> Any:
    """Do as ours does."""
    return ours_set_params(self, **without(given))


ours_set_params = search.Search.set_params


def learning_curve(estimator: Any, X: Any, y: Any = None, **given: Any) -> Any:
    """Do as theirs does."""
    return search.learning_curve(view(), estimator, X, y, **without(given))


def pytest_configure(config: pytest.Config) -> None:
    """Take the places of what their tests import, before they do."""
    home = tempfile.mkdtemp(prefix="sc-")
    STACK.callback(shutil.rmtree, home, ignore_errors=True)
    os.environ["SPOTCLUSTER_HOME"] = home
    for name, (ours, space, theirs) in NAMES.items():
        kind = Kind(name, (), {"ours": ours, "space": space, "theirs": theirs})
        setattr(model_selection, name, kind)
    model_selection.learning_curve = learning_curve
    search.Search.set_params = set_params


def pytest_unconfigure(config: pytest.Config) -> None:
    STACK.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    differences.mark(items, "sklearn_differences.txt", parts=1)
