"""What an evaluation is given: it may write into it, and nobody else sees that."""

from __future__ import annotations

import ctypes
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge
from sklearn.semi_supervised import LabelSpreading

from spotcluster.search.engine import batch, here, mapping
from spotcluster.search.engine import fit as fitting
from spotcluster.search.parcels import parcel

X, Y = np.arange(20.0).reshape(10, 2), np.arange(10) % 2
ROWS = {"fit": {"sample_weight": np.ones(10)}, "columns": np.arange(10)}
FORMS = {
    "arrays": lambda: (X, Y, X, Y),
    "of other kinds": lambda: (np.asfortranarray(X, "f4"), None, X[:0], Y.astype("U3"), ROWS),
    "sparse": lambda: (sparse.csr_matrix(X), Y, sparse.csr_matrix(X), Y),
    "coordinates": lambda: (sparse.coo_array(X), Y, sparse.coo_array(X), Y),
    "frames": lambda: (pd.DataFrame(X), pd.Series(Y), pd.DataFrame(X), pd.Series(Y)),
    "lists": lambda: (X.tolist(), Y.tolist(), X.tolist(), Y.tolist()),
    "objects": lambda: (X.astype(object), Y, X.astype(object), Y, {"fit": {"w": [1.0] * 10}}),
}


@pytest.fixture(autouse=True, params=["copied", "mapped"])
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host of its own; what is in files is small, and copied unless none is small enough."""
    if request.param == "mapped":
        monkeypatch.setattr(mapping, "SMALL", 0)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SPOTCLUSTER_HOME")
    monkeypatch.setattr(here, "_bundles", {})
    monkeypatch.setattr(batch, "_kept", batch._Kept())


@pytest.fixture
def entry(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """A split file."""
    path = tmp_path / "split.pkl"
    joblib.dump(FORMS[getattr(request, "param", "arrays")](), path)
    return {"path": str(path), "size": path.stat().st_size, "mtime": 0}


def leaves(thing: Any) -> list[Any]:
    """Return the arrays that something is made of."""
    if isinstance(thing, dict):
        return leaves(list(thing.values()))
    if isinstance(thing, tuple | list):
        return [leaf for item in thing for leaf in leaves(item)]
    if sparse.issparse(thing):
        return leaves(vars(thing))
    if isinstance(thing, pd.DataFrame | pd.Series):
        return [thing.to_numpy()]
    return [thing] if isinstance(thing, np.ndarray) else []


@pytest.mark.parametrize("entry", FORMS, indirect=True)
def test_what_one_evaluation_wrote_was_seen_by_the_next(entry: dict[str, Any]) -> None:
    content = Path(entry["path"]).read_bytes()
    whole = repr(joblib.load(entry["path"]))
    for _ in range(3):
        split = batch._split(entry)
        assert repr(split) == whole
        for array in leaves(split):
            array.flags.writeable = True
            if array.dtype != object and array.size:
                ctypes.memset(array.ctypes.data, 1, array.nbytes)  # looks at no flag
            elif array.size:
                array[...] = None
        for part in split:
            if isinstance(part, list | dict):
                part.clear()
    assert Path(entry["path"]).read_bytes() == content


@pytest.mark.parametrize(
    "entry", ["arrays", "of other kinds", "sparse", "coordinates"], indirect=True
)
def test_engines_handed_out_memmaps(entry: dict[str, Any]) -> None:
    expected = leaves(joblib.load(entry["path"]))
    found = leaves(batch._split(entry))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert type(ours) is np.ndarray
        assert ours.flags.writeable
        for flag in ("C_CONTIGUOUS", "F_CONTIGUOUS", "ALIGNED"):
            assert ours.flags[flag] == theirs.flags[flag]
        assert ours.dtype == theirs.dtype


def test_nothing_that_is_not_written_to_is_copied(entry: dict[str, Any], tmp_path: Path) -> None:
    joblib.dump((np.ones(1 << 22), None, np.ones(1 << 22), None), entry["path"])
    split = batch._split(entry)
    before = private_kb(entry["path"])
    assert split[0].sum() == split[2].sum() == 1 << 22
    assert private_kb(entry["path"]) == before == 0
    split[0][0] = 2.0
    assert private_kb(entry["path"]) == 4  # a page
    del split
    assert batch._split(entry)[0][0] == 1.0
    assert private_kb(entry["path"]) == 0


def private_kb(path: str) -> int:
    """Return the kB of a mapped file that are this process's own."""
    if not Path("/proc/self/smaps").exists():
        pytest.skip("needs Linux")
    kb, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head = line.split()[0]
        ours = line.endswith(path) if "-" in head and not head.endswith(":") else ours
        kb += int(line.split()[1]) if ours and head == "Private_Dirty:" else 0
    return kb


def test_arrays_that_an_evaluation_keeps_stay_its_own(entry: dict[str, Any]) -> None:
    first = batch._split(entry)[0]
    first[:] = 7.0
    second = batch._split(entry)[0]
    assert (first == 7.0).all()
    assert (second == X).all()
    second.shape = (20,)
    assert batch._split(entry)[0].shape == (10, 2)


def test_a_file_may_be_larger_than_memory(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 42)  # of which nothing is on the disk
    memory = mapping._private(str(path))
    memory[1 << 41] = 1
    memory.close()


class Rude(ClassifierMixin, BaseEstimator):
    """Does to its data what it should not."""

    def __init__(self, how: str = "flag") -> None:
        self.how = how

    def fit(self, X: Any, y: Any, more: Any = None) -> Rude:
        self.classes_ = np.unique(y)
        self.seen_ = float(X.sum() + y.sum() + (0 if more is None else more.sum()))
        if self.how == "flag":
            X.flags.writeable = y.flags.writeable = True
        if self.how == "address":
            ctypes.memset(X.ctypes.data, 0, X.nbytes)
        X *= 2
        y += 1
        if more is not None:
            more += 1
        return self

    def score(self, X: Any, y: Any) -> float:
        return self.seen_


def perform(entry: dict[str, Any], model: Any, grid: list[dict[str, Any]], **more: Any) -> Any:
    digest = here.file_digest(entry["path"])
    assert here.locate("bundle", [{**entry, "digest": digest}]) == []
    common = parcel({"model": model, **more}).data
    items = parcel([(digest, {"params": params}) for params in grid]).data
    return pickle.loads(batch.perform("bundle", common, items, 60.0)[1])


def test_an_estimator_that_writes_into_its_data_failed_or_ended_its_engine(
    entry: dict[str, Any],
) -> None:
    grid = [{"how": how} for how in ("flag", "address", "in place")] * 2
    more = {"fit_params": {"more": np.ones(3)}}
    results = perform(entry, Rude(), grid, **more)
    assert [result["error"] for result in results] == [""] * 6
    assert {result["test"] for result in results} == {float(X.sum() + Y.sum() + 3)}


@pytest.mark.parametrize(
    "model", [LabelSpreading(kernel="rbf"), KernelRidge(kernel="rbf"), KernelRidge(kernel=RBF())]
)
def test_training_scores_differed_in_the_last_bit(tmp_path: Path, model: Any) -> None:
    rng = np.random.default_rng(0)
    data = rng.random((40, 5)), np.arange(40) % 2
    path = tmp_path / "split.pkl"
    joblib.dump((*data, *data), path)
    entry = {"path": str(path), "size": path.stat().st_size, "mtime": 0}

    def outputs(estimator: Any, X: Any, y: Any) -> float:
        return float(estimator.predict(X).sum() + getattr(estimator, "X_", np.zeros(1)).sum())

    plain = outputs(model.fit(*data), *data)
    (result,) = perform(entry, model, [{}], scoring=None)
    assert result["error"] == ""
    estimator = type(model)(**model.get_params(deep=False))
    split = batch._split(entry)
    assert outputs(estimator.fit(split[0], split[1]), split[0], split[1]) == plain


class WritesIntoArguments(DummyClassifier):  # type: ignore[misc] # it has no types
    """Its score is how often it, or another, has written into what `fit` was given."""

    def fit(self, X: Any, y: Any, seen: Any = None) -> Any:
        seen["by"].append(len(y))
        seen["at"] += 1
        self.count_ = len(seen["by"]) + seen["at"][0]
        return super().fit(X, y)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return float(self.count_)


def test_what_an_evaluation_wrote_into_arguments_of_fit_was_seen_by_the_next() -> None:
    X, y = np.zeros((4, 1)), np.array([0, 1, 0, 1])
    given = {"seen": {"by": [], "at": np.zeros(2)}}
    for _ in range(2):
        result = fitting.fit_and_score(
            (X, y, X, y), model=WritesIntoArguments(), params={}, fit_params=given
        )
        assert (result["error"], result["test"]) == ("", 2.0)
