"""Split files hold what scikit-learn would have split, and can be mapped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit

from spotcluster import files
from spotcluster.errors import SearchError
from spotcluster.search import persist_cv_splits
from spotcluster.search.data import splits
from spotcluster.search.data.splits import Bundle, store_cv_splits, whole_dataset
from spotcluster.search.engine.here import file_digest

X = np.arange(80.0).reshape(40, 2)
y = np.arange(40)


def test_splits_of_the_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = persist_cv_splits(X, y, name="digits", random_state=42)
    assert names == [str(tmp_path / f"digits_cv_00{i}.pkl") for i in range(5)]
    cv = ShuffleSplit(5, test_size=0.25, random_state=42)
    for name, (train, test) in zip(names, cv.split(X), strict=True):
        X_train, y_train, X_test, y_test = joblib.load(name, mmap_mode="r")
        assert isinstance(X_train, np.memmap)
        assert np.array_equal(X_train, X[train])
        assert np.array_equal(y_train, y[train])
        assert np.array_equal(X_test, X[test])
        assert np.array_equal(y_test, y[test])
    assert sorted(tmp_path.iterdir()) == [Path(name) for name in names]


def test_any_splitter(tmp_path: Path) -> None:
    groups = np.arange(40) % 4
    names = persist_cv_splits(X, y, cv=GroupKFold(4), groups=groups, folder=tmp_path)
    assert len(names) == 4
    _, y_train, _, y_test = joblib.load(names[0])
    assert not set(groups[y_train]) & set(groups[y_test])
    assert len(persist_cv_splits(X, y, cv=3, name="three", folder=tmp_path)) == 3


def test_sparse_and_no_target(tmp_path: Path) -> None:
    (name, _) = persist_cv_splits(sparse.csr_matrix(X), None, cv=KFold(2), folder=tmp_path)
    X_train, y_train, _, _ = joblib.load(name, mmap_mode="r")
    assert isinstance(X_train.data, np.memmap)
    assert y_train is None
    everything, target = whole_dataset(name)
    assert everything.shape == (40, 2)
    assert target is None


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="The data cannot be written into split files: cannot"):
        persist_cv_splits([(x for x in ())] * 40, y, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_local_code_in_the_data_could_not_be_written(tmp_path: Path) -> None:
    class Text(str):
        __slots__ = ()

    texts = [Text(n) for n in range(20)]
    (name, _) = persist_cv_splits([*texts, *[lambda: 7] * 20], y, cv=KFold(2), folder=tmp_path)
    script = f"import joblib; print(joblib.load({name!r})[0][0](), joblib.load({name!r})[2][3])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "7 3\n"


@pytest.mark.parametrize("cv", [[], iter(())])
def test_a_cv_without_splits_writes_no_files(cv: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Was the CV iterator empty"):
        persist_cv_splits(X, y, cv=cv, folder=tmp_path)


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "masked", "memmap"])
def test_a_refit_of_split_files_has_what_the_data_were(kind: str, tmp_path: Path) -> None:
    """Of a polars frame, the names of its columns were lost."""
    columns = {"a": X[:, 0], "b": X[:, 1]}
    target: Any = y
    data: Any
    if kind == "masked":
        data = np.ma.masked_greater(X, 70)
    elif kind == "memmap":
        data = X
    else:
        library = pytest.importorskip(kind)
        data = (library.table if kind == "pyarrow" else library.DataFrame)(columns)
        target = data["b"]
    (name, _) = persist_cv_splits(data, target, cv=KFold(2), folder=tmp_path)
    whole, targets = whole_dataset(name)
    assert len(whole) == len(targets) == 40
    if kind == "masked":
        assert whole.mask.sum() == data.mask.sum() > 0
    elif kind != "memmap":
        assert type(whole) is type(data)
        assert type(targets) is type(target)
        names = whole.column_names if kind == "pyarrow" else list(whole.columns)
        assert names == ["a", "b"]
        assert whole["a"].to_numpy().tolist() == [*X[20:, 0], *X[:20, 0]]
        assert targets.to_numpy().tolist() == [*X[20:, 1], *X[:20, 1]]


def test_whole_dataset_has_all_rows(tmp_path: Path) -> None:
    (name, *_) = persist_cv_splits(X, y, folder=tmp_path)
    everything, target = whole_dataset(name)
    assert np.array_equal(everything[np.argsort(target)], X)


def test_stored_splits_are_named_by_content() -> None:
    first = store_cv_splits(X, y, KFold(3))
    stamps = [Path(name).stat().st_mtime_ns for name in first]
    assert store_cv_splits(X, y, KFold(3)) == first
    assert [Path(name).stat().st_mtime_ns for name in first] == stamps
    assert store_cv_splits(X + 1, y, KFold(3)) != first
    folder = files.home() / "splits"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert len(list(folder.iterdir())) == 6
    for name, split in zip(first, Bundle.of(first).splits, strict=True):
        assert Path(name).stem == split.digest


def test_file_is_read_once_while_it_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has changed just now may change again with the same time."""
    read: list[str] = []

    def read_it(path: str) -> str:
        read.append(path)
        return file_digest(path)

    monkeypatch.setattr(splits, "file_digest", read_it)
    (name, *_) = persist_cv_splits(X, y, folder=tmp_path)
    first = Bundle.of([name])
    Bundle.of([name])
    assert len(read) == 2
    os.utime(name, (2e9, 1e9))
    assert Bundle.of([name]) == Bundle.of([name]) == first
    assert len(read) == 3
    content = bytearray(Path(name).read_bytes())
    content[-1] ^= 1
    Path(name).write_bytes(content)
    os.utime(name, (2e9, 1.1e9))
    assert Bundle.of([name]).digest != first.digest


def test_missing_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"nowhere\.pkl cannot be read \(No such file"):
        Bundle.of([tmp_path / "nowhere.pkl"])
    with pytest.raises(SearchError, match="at least one"):
        Bundle.of([])


def test_a_bundle_is_called_by_its_content(tmp_path: Path) -> None:
    names = persist_cv_splits(X, y, folder=tmp_path)
    bundle = Bundle.of(names)
    (tmp_path / "other").mkdir()
    moved = [str(Path(name).rename(tmp_path / "other" / Path(name).name)) for name in names]
    assert Bundle.of(moved).digest == bundle.digest
    assert Bundle.of(moved[:4]).digest != bundle.digest
    assert len(Bundle.of([moved[0], moved[0]]).as_plain()) == 1
