"""Ledgers of an earlier version, see data/a45db88/README.md: this one goes on with them."""

from __future__ import annotations

import base64
import json
import pickletools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

from spotcluster import search as searches
from spotcluster.search.results import record as ledgers

from .conftest import LIMIT, Machines

LEFT = Path(__file__).parent / "data" / "a45db88" / "home"
KINDS = {
    "grid": searches.GridSearch,
    "randomized": searches.RandomizedSearch,
    "halving": searches.HalvingGridSearch,
    "drawn": searches.HalvingGridSearch,
    "asha": searches.ASHASearch,
    "optuna": searches.OptunaSearch,
    "curve": searches.LearningCurve,
}
PLANNED = ("grid", "randomized", "halving", "drawn")  # the others' candidates depend on the pace


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be the computer on which the searches were begun."""
    if not Path("/proc/self/cwd").exists():
        pytest.skip("needs Linux: a path that each process resolves for itself")
    copy = shutil.copytree(LEFT, tmp_path / "home")
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPOTCLUSTER_HOME", "/proc/self/cwd/home")
    return copy


def expected(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((LEFT / "expected.json").read_text())[name]
    return found


def lines(ledger: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ledger.read_text().splitlines()]


@pytest.mark.parametrize("name", KINDS)
def test_a_former_ledger_is_gone_on_with(pair: Machines, home: Path, name: str) -> None:
    if name == "optuna":
        pytest.importorskip("optuna")
    ledger = home / "searches" / f"{name}.jsonl"
    before, written = ledgers.read(ledger), ledger.read_bytes()
    resumed = KINDS[name].resume(ledger, pair.client)
    assert resumed.wait(LIMIT)
    again = {item.key: item for item in resumed.evaluations()}
    assert 0 < len(before.evaluations) < len(again) == resumed.total()
    # Nothing that was finished has run again: it is told as it was then, and once.
    assert {key: again[key] for key in before.evaluations} == before.evaluations
    assert ledger.read_bytes().startswith(written)
    told = [line for line in lines(ledger) if line["kind"] == "evaluation"]
    assert len(told) == len(again)
    tried = list(resumed.cv_results_["params"])
    assert tried[: len(before.candidates or [])] == [one.params for one in before.candidates or []]
    wanted = expected(name)
    if name == "curve":
        for attribute, values in wanted.items():
            np.testing.assert_allclose(getattr(resumed, attribute), values, err_msg=attribute)
    elif name in PLANNED:
        table = resumed.cv_results_
        assert tried == wanted["params"]
        for column in ("mean_test_score", "std_test_score", "rank_test_score"):
            np.testing.assert_allclose(table[column], wanted[column], err_msg=column)
        assert resumed.best_index_ == wanted["best_index_"]
        X, y = load_iris(return_X_y=True)
        assert resumed.best_estimator_.score(X, y) > 0.8


def test_ledgers_pickle_nothing_of_ours() -> None:
    """So that our modules can be moved; what they pickle is the user's and scikit-learn's."""
    for ledger in sorted((LEFT / "searches").glob("*.jsonl")):
        sealed = [base64.b64decode(line["pickle"]) for line in lines(ledger) if "pickle" in line]
        assert sealed
        assert not [name for data in sealed for name in named(data) if "spotcluster" in name]


def named(data: bytes) -> list[str]:
    """Return all texts of a pickle, the names of modules among them."""
    return [str(arg) for _, arg, _ in pickletools.genops(data) if isinstance(arg, str)]
