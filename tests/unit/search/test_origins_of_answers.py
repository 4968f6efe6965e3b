"""What is noticed of code and libraries that are others than they were."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator
from sklearn.metrics import make_scorer
from sklearn.svm import SVC

from spotcluster.errors import SearchError
from spotcluster.search.origins import Origins, digest, examine
from spotcluster.search.parcels import parcel
from spotcluster.search.results import record as ledgers
from spotcluster.search.results.ledger import Ledger
from spotcluster.search.results.record import Header

CELL = """
import numpy as np
from sklearn.base import BaseEstimator
FACTOR = 2
class Model(BaseEstimator):
    kinds = {"a", "b", "c"}
    def fit(self, X, y=None):
        return self
    def score(self, X, y=None):
        # What it is worth.
        return FACTOR * helper(len(X)) if "a" in {"a", "b"} else np.nan
def helper(n, plus=1):
    return n + plus
"""


def run(cell: str) -> dict[str, Any]:
    """Return what a cell of a notebook has made."""
    made: dict[str, Any] = {"__name__": "__main__"}
    exec(cell, made)
    return made


def origins(cell: str, name: str = "Model") -> Origins:
    return Origins.of(parcel(run(cell)[name]()))


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ("n + plus", "n - plus", "helper"),
        ("plus=1", "plus=2", "helper"),
        ("FACTOR = 2", "FACTOR = 3", "Model.score"),
        ("return self", "return None", "Model.fit"),
        ('"a", "b", "c"', '"a", "b", "d"', "Model"),
        ('in {"a", "b"}', 'in {"a", "c"}', "Model.score"),
        ("np.nan", "np.inf", "Model.score"),
    ],
)
def test_a_class_that_was_edited_had_the_scores_of_the_old_one(
    was: str, becomes: str, told: str
) -> None:
    assert was in CELL
    changes = origins(CELL).changes(origins(CELL.replace(was, becomes)))
    assert changes == [f"the code of {told} has changed"]


def test_what_is_no_code_is_no_change() -> None:
    moved = "\n\n" + CELL.replace("# What", "# This is what").replace(
        "class Model", "X = 1\nclass Model"
    )
    documented = moved.replace("def helper(n, plus=1):", 'def helper(n, plus=1):\n    """Add."""')
    assert origins(CELL).changes(origins(documented)) == []


def test_another_process_has_the_same_digests() -> None:
    script = f"CELL = {CELL!r}\nexec(CELL)\n" + (
        "import json\n"
        "from spotcluster.search.origins import Origins, digest\n"
        "from spotcluster.search.parcels import parcel\n"
        "scorer = lambda *_: 1.0\n"
        "print(json.dumps([Origins.of(parcel(Model())).code, digest((Model(), scorer))]))\n"
    )
    told = [
        json.loads(
            subprocess.run(
                [sys.executable, "-"],
                input=script,
                env={"PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            ).stdout
        )
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert sorted(told[0][0]) == [
        f"__main__.{name}" for name in ("Model", "Model.fit", "Model.score", "helper")
    ]


def test_another_version_of_a_library_was_not_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    then = Origins.of(parcel({"model": SVC(), "scorer": make_scorer(lambda *_: np.mean([1]))}))
    assert then.versions["sklearn"] == sklearn.__version__
    assert then.versions["numpy"] == np.__version__
    assert "numpy" not in Origins.of(parcel([SVC(C=np.float64(1)), np.arange(3)])).versions
    monkeypatch.setattr(sklearn, "__version__", "1.0")
    now = Origins.of(parcel(SVC()))
    assert then.changes(now, all_code=False) == [
        f"scikit-learn was {then.versions['sklearn']} and is 1.0"
    ]


def test_another_python_is_said_instead_of_all_code(monkeypatch: pytest.MonkeyPatch) -> None:
    then = origins(CELL)
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    now = origins(CELL.replace("plus=1", "plus=2"))
    assert then.changes(now) == [f"Python was {then.versions['Python']} and is 3.99"]


class Held(BaseEstimator):
    def __init__(self, callback: Any = None) -> None:
        self.callback = callback


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"the model": Held(threading.current_thread())}, "The parameter 'callback' of the model"),
        ({"the scorer": threading.current_thread()}, "The scorer"),
        (
            {"the parameter": [{"a": 1}, {"b": iter([1]), "c": (x for x in ())}]},
            "The parameter 'c'",
        ),
        ({"the argument of fit": {"log": sys.stdout}}, "The argument of fit 'log'"),
    ],
)
def test_what_cannot_be_sent_is_named(sent: dict[str, Any], told: str) -> None:
    with pytest.raises(SearchError, match=f"^{told} cannot be sent to engines: .*cannot pickle"):
        examine(sent)


def test_a_change_that_is_accepted_is_in_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    then, now = Origins({"f": "1"}, {"sklearn": "1.0"}), Origins({"f": "2"}, {"sklearn": "1.1"})
    Ledger.create(path, Header("id", "GridSearch", "question", {}, [], origins=then)).close()
    record = ledgers.read(path)
    record.agree(path, then, accept=False)
    with pytest.raises(
        SearchError, match=r"code of f has changed; scikit-learn was 1.0 and is 1.1"
    ):
        record.agree(path, now, accept=False)
    with Ledger.claimed(path, new=False) as ledger:
        assert ledger.record is not None
        ledger.record.agree(path, now, accept=True)
        ledger.go_on()
    ledger.close()
    again = ledgers.read(path)
    assert again.header.origins == now
    again.agree(path, now, accept=False)
    assert '"changes": ["the code of f has changed"' in path.read_text()


def test_a_ledger_of_a_former_version_says_nothing_of_its_code(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    Ledger.create(path, Header("id", "GridSearch", "question", {}, [])).close()
    record = ledgers.read(path)
    record.agree(path, Origins({"f": "2"}, {}), accept=False)
    assert record.accepted is None


def test_code_is_no_part_of_what_tells_searches_apart() -> None:
    """So that one that was edited is said to be that, and not to be another search."""
    first, second = (run(f"def f():\n def g(): return {n}\n return g")["f"]() for n in (1, 2))
    assert digest((SVC(), first)) == digest((SVC(), second))
    assert digest((SVC(), first, 1)) != digest((SVC(), first, 2))
