"""Searches where a host has not all that evaluations need."""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.svm import SVC

from spotcluster.errors import SearchError
from spotcluster.search import GridSearch

from .conftest import LIMIT, Machines, until

GRID = {"C": [0.01, 0.1, 1.0, 10.0], "gamma": [0.001, 0.01, 0.1]}

BROUGHT = """
import time
__version__ = "1.0"
from sklearn.svm import SVC

class Brought(SVC):
    def fit(self, X, y, sample_weight=None):
        time.sleep(0.05)
        return super().fit(X, y, sample_weight)

class Late(SVC):
    def fit(self, X, y, sample_weight=None):
        from sclater import nothing
        return super().fit(X, y, sample_weight)
"""


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried soon."""
    monkeypatch.setattr("spotcluster.search.dispatch.roster.RETRY", 0.3)
    monkeypatch.setattr("spotcluster.search.dispatch.hope.SETTLE", 0.5)


class Library:
    """Packages that were installed in folders, which some engines know of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.install("here")

    def install(self, name: str) -> None:
        target = self.folder / name
        (target / "scbrought-1.0.dist-info").mkdir(parents=True, exist_ok=True)
        (target / "scbrought.py").write_text(BROUGHT)
        (target / "sclater.py").write_text("nothing = None\n")

    def known_to(self, machines: Machines, engines: list[int], name: str = "here") -> None:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        machines.client[engines].execute(
            f"import sys; sys.path.insert(0, {str(folder)!r})", block=True
        )


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """A package that is installed here."""
    made = Library(tmp_path / "library")
    monkeypatch.syspath_prepend(str(made.folder / "here"))
    yield made
    for name in ("scbrought", "sclater"):
        sys.modules.pop(name, None)


def model(name: str) -> Any:
    return getattr(importlib.import_module("scbrought"), name)()  # which the fixture makes


def kinds(ledger: Any) -> Counter[str]:
    return Counter(json.loads(line)["kind"] for line in Path(ledger).read_text().splitlines())


@pytest.mark.parametrize("name", ["Brought", "Late"])
def test_one_host_that_lacked_a_module_failed_all_evaluations(
    machines: Machines, iris: list[str], library: Library, name: str
) -> None:
    good, bad = machines.start("node001", 1), machines.start("node002", 1)
    library.known_to(machines, good)
    if name == "Late":  # it is there, and what it imports when it fits is not
        library.install("there")
        (library.folder / "there" / "sclater.py").unlink()
    library.known_to(machines, bad, "there")
    search = GridSearch(machines.client).launch_for_splits(model(name), GRID, iris, pace=0.05)
    lacked = "scbrought" if name == "Brought" else "sclater"
    said = f"node002 is left out: ModuleNotFoundError: No module named '{lacked}'."
    until(lambda: said in search.report(), "the report says so")
    assert search.wait(LIMIT)
    assert search.failed() == []
    assert search.evaluations_per_node() == {"node001": 36}
    assert kinds(search.ledger)["evaluation"] == 36
    assert said in search.report()


def test_a_host_was_left_out_when_its_module_had_come(
    machines: Machines, iris: list[str], library: Library
) -> None:
    good, bad = machines.start("node001", 1), machines.start("node002", 1)
    library.known_to(machines, good)
    library.known_to(machines, bad, "there")
    grid = {"C": [float(n + 1) for n in range(60)]}
    search = GridSearch(machines.client).launch_for_splits(model("Brought"), grid, iris, pace=0.3)
    until(lambda: "node002 is left out" in search.report(), "it is left out")
    library.install("there")
    until(lambda: "node002" in search.evaluations_per_node(), "it is tried again")
    assert "left out" not in search.report()
    assert search.failed() == []
    search.abort()


def test_a_search_that_no_engine_could_do_had_failed_evaluations(
    machines: Machines, iris: list[str], library: Library
) -> None:
    machines.start("node001", 2)
    search = GridSearch(machines.client).launch_for_splits(model("Brought"), GRID, iris)
    with pytest.raises(SearchError, match=r"No module named 'scbrought' \(on node001\)") as caught:
        search.wait(LIMIT)
    assert "Install" in caught.value.hint
    assert "left out" in search.report()
    assert kinds(search.ledger) == {"search": 1, "candidates": 1}
    library.known_to(machines, machines.start("node002", 1))
    again = GridSearch.resume(search.ledger or "", machines.client)
    assert again.wait(LIMIT)
    assert again.failed() == []
    assert again.evaluations_per_node() == {"node002": 36}


@pytest.mark.parametrize("name", ["sklearn", "scbrought", "Python"])
def test_an_engine_with_another_version_was_given_evaluations(
    machines: Machines, iris: list[str], library: Library, name: str
) -> None:
    good, other = machines.start("node001", 1), machines.start("node002", 1)
    library.known_to(machines, [*good, *other])
    changed = f"import {name}; {name}.__version__ = '0.1'"
    version = "0.1"
    if name == "Python":  # of code that goes by value
        changed, version = "import sys; sys.version_info = (2, 7, 18)", "2.7"
    machines.client[other].execute(changed, block=True)
    model_: Any = model("Brought")
    if name == "Python":
        model_ = type("Mine", (SVC,), {"__module__": "__main__", "extra": lambda self: None})()
    search = GridSearch(machines.client).launch_for_splits(model_, GRID, iris, pace=0.05)
    said = f"node002 is left out: ImportError: {name} is {version} there"
    until(lambda: said in search.report(), "the report says so")
    assert search.wait(LIMIT)
    assert search.evaluations_per_node() == {"node001": 36}


def test_engines_were_to_have_the_version_before_the_one_that_was_accepted(
    machines: Machines, iris: list[str], library: Library
) -> None:
    engines = machines.start("node001", 1)
    library.known_to(machines, engines)
    search = GridSearch(machines.client).launch_for_splits(model("Brought"), GRID, iris, pace=0.2)
    until(lambda: search.completed(), "one")
    search.abort()
    changed = "import scbrought; scbrought.__version__ = '2.0'"
    machines.client[engines].execute(changed, block=True)
    exec(changed)
    with pytest.raises(SearchError, match=r"scbrought was 1\.0 and is 2\.0"):
        GridSearch.resume(search.ledger or "", machines.client)
    again = GridSearch.resume(search.ledger or "", machines.client, accept_changes=True)
    assert again.wait(LIMIT)
    assert again.completed() == 36
    assert again.failed() == []


def test_what_fails_on_all_hosts_is_the_evaluations_own(
    machines: Machines, iris: list[str], library: Library
) -> None:
    engines = [*machines.start("node001", 1), *machines.start("node002", 1)]
    library.install("there")
    (library.folder / "there" / "sclater.py").unlink()
    library.known_to(machines, engines, "there")
    search = GridSearch(machines.client).launch_for_splits(model("Late"), GRID, iris)
    assert search.wait(LIMIT)
    assert len(search.failed()) == 36
    assert all(item.node and "sclater" in item.error for item in search.failed())
    assert "left out" not in search.report()
    asked = [retry for retry in search.retried if "another tried it too" in retry.reason]
    assert len(asked) < 12  # not all of them are run twice
