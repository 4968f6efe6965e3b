"""Data as they are cut for splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from sklearn.utils.metaestimators import _safe_split

from spotcluster.search.data.candidates import Candidate
from spotcluster.search.data.folds import Dataset, Extent, rows_of, takes_kernel
from spotcluster.search.data.splits import Bundle
from spotcluster.search.engine.part import part_of

K = np.arange(144.0).reshape(12, 12)
Y = np.arange(12) % 2
PRECOMPUTED = SVC(kernel="precomputed")


def candidates(*params: dict[str, Any]) -> list[Candidate]:
    return [Candidate(item, order) for order, item in enumerate(params)]


@pytest.mark.parametrize(
    ("model", "params", "takes"),
    [
        (SVC(), [{"C": 1}, {"C": 2}], False),
        (PRECOMPUTED, [{"C": 1}], True),
        (SVC(), [{"kernel": "precomputed"}], True),
        (SVC(), [{"kernel": "precomputed"}, {"kernel": "rbf"}], None),
        (PRECOMPUTED, [{"C": 1}, {"kernel": "rbf"}], None),
        (make_pipeline(SVC()), [{"svc": PRECOMPUTED}, {"svc__C": 1}], None),
        (make_pipeline(SVC()), [{"svc": PRECOMPUTED}], True),
        (SVC(), None, None),
    ],
)
def test_who_takes_a_kernel(model: Any, params: Any, takes: bool | None) -> None:
    tried = None if params is None else candidates(*params)
    assert takes_kernel(model, tried, K) is takes
    if takes is False or params is None:
        assert takes_kernel(model, tried, K[:, :3]) is False
        return
    with pytest.raises(ValueError, match="X should be a square kernel matrix"):
        takes_kernel(model, tried, K[:, :3])
    with pytest.raises(ValueError, match="have to be passed as arrays or sparse matrices"):
        takes_kernel(model, tried, K.tolist())


@pytest.mark.parametrize("X", [K, np.asfortranarray(K), sparse.csr_matrix(K)])
@pytest.mark.parametrize("kernel", [True, None])
@pytest.mark.parametrize("part", [{}, {"n_samples": 5}, {"train_fraction": 0.6, "seed": 1}])
def test_a_kernel_is_cut_as_by_scikit_learn(X: Any, kernel: bool | None, part: Any) -> None:
    def dense(thing: Any) -> Any:
        return thing.toarray() if sparse.issparse(thing) else thing

    indices = list(KFold(3, shuffle=True, random_state=0).split(Y))
    folds = Dataset(X, Y).folds(indices, kernel=kernel)
    for (train, test), fold in zip(indices, folds, strict=True):
        (_, drawn, *_), _ = part_of((train, train, test, test), **part)
        (X_train, y_train, *_), (X_test, y_test, _) = part_of(fold, kernel=True, **part)
        for mine, other in (
            ((X_train, y_train), _safe_split(PRECOMPUTED, X, Y, drawn)),
            ((X_test, y_test), _safe_split(PRECOMPUTED, X, Y, test, drawn)),
        ):
            assert (dense(mine[0]) == dense(other[0])).all()
            assert mine[1].tolist() == other[1].tolist()
            if isinstance(X, np.ndarray) and "n_samples" not in part:  # a slice copies nothing
                assert mine[0].flags.c_contiguous == other[0].flags.c_contiguous
        if kernel is None:  # and any other candidate has the columns that there are
            (X_train, *_), (X_test, *_) = part_of(fold, **part)
            assert (dense(X_train) == dense(X)[drawn]).all()
            assert (dense(X_test) == dense(X)[test]).all()


def test_a_slice_of_a_kernel_copies_nothing() -> None:
    fold = (K[:8, :8], Y[:8], K[8:, :8], Y[8:])
    (X_train, *_), (X_test, *_) = part_of(fold, kernel=True, n_samples=3)
    assert X_train.shape == (3, 3)
    assert X_test.shape == (4, 3)
    assert np.shares_memory(X_train, K)
    assert np.shares_memory(X_test, K)


def test_what_is_known_of_split_files(tmp_path: Path) -> None:
    path = tmp_path / "split.pkl"
    joblib.dump((K[:8], Y[:8], K[8:], Y[8:]), path)
    bundle = Bundle.of([path, path])
    assert rows_of(bundle) == ((8, 4), (8, 4))
    extent = Extent(2, None, str(path))
    assert (extent.n_splits, extent.n_samples) == (2, 12)
    assert extent.y.tolist() == Y.tolist()
    assert Extent(2, Dataset(K, None)).y is None
    assert Extent(2, Dataset(K, None)).n_samples == 12
