"""Code that only the client has: it goes along, and a ledger notices when it is another."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import programs
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

from spotcluster.errors import SearchError
from spotcluster.search import GridSearch

from .conftest import LIMIT, Machines

X, Y = load_iris(return_X_y=True)
PROJECT = {
    "models": """
import threading
from sklearn.tree import DecisionTreeClassifier
from . import tools
LOCK = threading.Lock()
class Model(DecisionTreeClassifier):
    def fit(self, X, y):
        with LOCK:
            return super().fit(tools.prepared(X), y)
def score(model, X, y):
    from .late import factor
    return factor() * model.score(X, y)
class Cut:
    def get_n_splits(self, X=None, y=None, groups=None):
        return 2
    def split(self, X, y=None, groups=None):
        yield list(range(0, 150, 2)), list(range(1, 150, 2))
        yield list(range(1, 150, 2)), list(range(0, 150, 2))
""",
    "tools": "def prepared(X):\n    return X[:, :]\n",
    "late": "def factor():\n    return 1.0\n",
    "__init__": "",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Write a package that engines do not see, and import the module with the model."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def written(**changed: tuple[str, str]) -> Any:
        (tmp_path / "wing").mkdir(exist_ok=True)
        for name, text in PROJECT.items():
            new = text.replace(*changed[name]) if name in changed else text
            (tmp_path / "wing" / f"{name}.py").write_text(new)
        forget()
        importlib.invalidate_caches()
        return importlib.import_module("wing.models")

    def forget() -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "wing"]:
            del sys.modules[name]

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield written
    forget()


def test_all_fits_failed_of_a_model_in_a_module_of_the_client(
    pair: Machines, project: Callable[..., Any], tmp_path: Path
) -> None:
    grid = {"max_depth": [1, 2], "random_state": [0]}

    def search(mine: Any, **more: Any) -> GridSearch:
        return GridSearch(
            *(pair.client, mine.Model(), grid),
            **{"cv": mine.Cut(), "scoring": mine.score, "ledger": tmp_path / "ledger", **more},
        ).fit(X, Y)

    mine = project()
    expected = GridSearchCV(mine.Model(), grid, cv=mine.Cut(), scoring=mine.score).fit(X, Y)
    found = search(mine)
    assert list(found.cv_results_["mean_test_score"]) == list(
        expected.cv_results_["mean_test_score"]
    )
    assert found.best_estimator_.predict(X[:3]).tolist() == [0, 0, 0]

    # Nothing has changed: nothing runs.
    written = (tmp_path / "ledger").read_bytes()
    assert search(project()).best_score_ == found.best_score_
    assert (tmp_path / "ledger").read_bytes() == written

    # What is edited, far down, is seen, and is what runs.
    edited = project(late=("1.0", "0.5"))
    with pytest.raises(SearchError, match=r"the code of wing.late.factor has changed.*") as error:
        search(edited)
    assert "accept_changes=True" in error.value.hint
    again = search(edited, ledger=None)
    assert again.best_score_ == found.best_score_ / 2
    # A ledger that is told to goes on, and says from where.
    with pytest.raises(SearchError, match=r"wing.late.factor"):
        GridSearch.resume(tmp_path / "ledger", pair.client)
    kept = search(edited, accept_changes=True)
    assert kept.best_score_ == found.best_score_
    last = json.loads((tmp_path / "ledger").read_text().splitlines()[-1])
    assert last["kind"] == "accepted"
    assert last["changes"] == ["the code of wing.late.factor has changed"]
    assert GridSearch.resume(tmp_path / "ledger", pair.client).wait(60)


def test_what_no_engine_has_and_cannot_be_sent_is_said_first(
    pair: Machines, project: Callable[..., Any], tmp_path: Path
) -> None:
    mine = project()
    mine.__file__ = mine.__file__.replace(".py", importlib.machinery.EXTENSION_SUFFIXES[0])
    with pytest.raises(SearchError, match=r"No engine has wing.models, which the search needs"):
        GridSearch(pair.client, mine.Model(), {"max_depth": [1]}, ledger=tmp_path / "l").fit(X, Y)
    assert not (tmp_path / "l").exists()


def test_functions_of_a_script_as_arguments_of_fit_could_not_be_kept(
    pair: Machines, tmp_path: Path
) -> None:
    """Nor a cv that cannot be pickled, although its splits are made."""
    script = f"""
import threading
import ipyparallel
import numpy as np
from sklearn.datasets import load_iris
from sklearn.model_selection import KFold
from sklearn.tree import DecisionTreeClassifier
from spotcluster.search import GridSearch
client = ipyparallel.Client({str(pair.client_file)!r}, timeout=60)

class Local(KFold):
    def __init__(self):
        super().__init__(3, shuffle=True, random_state=0)
        self.lock = threading.Lock()

class Weighed(DecisionTreeClassifier):
    def fit(self, X, y, weigh=None, doubled=None):
        return super().fit(X, y, sample_weight=doubled(weigh(y)))

def weigh(y):
    return np.where(y > 0, 1.0, 2.0)

search = GridSearch(client, Weighed(random_state=0), {{"max_depth": [1, 2]}}, cv=Local(),
                    ledger={str(tmp_path / "ledger")!r})
"""
    fitted = """
search.fit(*load_iris(return_X_y=True), weigh=weigh, doubled=lambda w: 2 * w)
print(search.best_estimator_.tree_.weighted_n_node_samples[0], search.best_score_)
"""
    resumed = f"""
import ipyparallel
from sklearn.datasets import load_iris
from spotcluster.search import GridSearch
client = ipyparallel.Client({str(pair.client_file)!r}, timeout=60)
search = GridSearch.resume({str(tmp_path / "ledger")!r}, client)
assert search.wait(60)
print(search.best_estimator_.tree_.weighted_n_node_samples[0], search.best_score_)
"""
    file = tmp_path / "script.py"

    def run(code: str) -> subprocess.CompletedProcess[str]:
        file.write_text(code)
        return programs.run([sys.executable, str(file)], timeout=LIMIT)

    done = [run(script + fitted), run(resumed), run(script + fitted)]
    assert [one.returncode for one in done] == [0, 0, 0], done
    told = [one.stdout for one in done]
    assert told[0].split()[0] == "400.0"
    assert told == [told[0]] * 3
    refused = run(script + fitted.replace("2 * w", "w"))
    assert "the code of <lambda> has changed" in refused.stderr


def test_what_was_raised_of_a_local_class_is_of_it_here(pair: Machines) -> None:
    class Mine(Exception):
        def __init__(self, code: int, more: str) -> None:
            super().__init__(f"{code}: {more}")
            self.code = code

    class Raises(DecisionTreeClassifier):
        def fit(self, X: Any, y: Any) -> Raises:
            raise Mine(7, "no")

    search = GridSearch(pair.client, Raises(), {"max_depth": [1]}, error_score="raise")
    with pytest.raises(Mine, match="7: no") as error:
        search.fit(X, Y)
    assert error.value.code == 7
