"""Every estimator and transformer of scikit-learn, against its search: bit for bit.

In this process, by the same code that engines run: what differs between hosts is no part of it.
"""

from __future__ import annotations

import inspect
import pickle
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import all_estimators
from threadpoolctl import threadpool_limits

from spotcluster.search.data.folds import Dataset
from spotcluster.search.data.splits import store
from spotcluster.search.engine import batch, here
from spotcluster.search.parcels import parcel

ROWS = 36
INDICES = [(np.arange(ROWS)[np.arange(ROWS) % 3 > 0], np.arange(0, ROWS, 3))]
# Type, order and whether it is aligned; each pair of them is there.
FORMS = [("f8", "C", True), ("f8", "F", False), ("f4", "C", False), ("f4", "F", True)]

FEW: dict[str, Any] = {  # so that each takes milliseconds
    "n_estimators": 3,
    "max_iter": 20,
    "n_init": 1,
    "n_components": 2,
    "n_clusters": 3,
    "n_neighbors": 3,
    "n_splits": 2,
    "cv": 2,
    "n_iter": 2,
    "n_resampling": 2,
    "n_quantiles": 10,
    "n_subsets": 2,
    "max_subpopulation": 10,
    "n_trials": 3,
    "n_alphas": 3,
    "n_thresholds": 3,
    "thresholds": 3,
    "max_no_improvement": 2,
    "hidden_layer_sizes": (4,),
    "n_nonzero_coefs": 2,
    "random_state": 0,
    "n_jobs": None,
}
BASES: dict[str, Any] = {
    "estimator": lambda kind: _model(kind),
    "base_estimator": lambda kind: _model(kind),
    "regressor": lambda _: Ridge(),
    "estimators": lambda kind: [("a", _model(kind)), ("b", _tree(kind))],
    "transformers": lambda _: [("a", PCA(2), [0, 1, 2])],
    "transformer_list": lambda _: [("a", PCA(2))],
    "steps": lambda kind: [("a", PCA(2)), ("b", _model(kind))],
    "param_grid": lambda _: {},
    "param_distributions": lambda _: {},
    "dictionary": lambda _: np.eye(5),
}
OWN: dict[str, dict[str, Any]] = {
    "DictionaryLearning": {"max_iter": 2},
    "LatentDirichletAllocation": {"max_iter": 2},
    "LinearDiscriminantAnalysis": {"n_components": 1},
    "MiniBatchDictionaryLearning": {"max_iter": 2},
    "OneHotEncoder": {"handle_unknown": "ignore"},
    "OrdinalEncoder": {"handle_unknown": "use_encoded_value", "unknown_value": -1},
    "OrthogonalMatchingPursuitCV": {"max_iter": 2},
    "RANSACRegressor": {"min_samples": 6},
    "RadiusNeighborsClassifier": {"radius": 100.0},
    "SequentialFeatureSelector": {"n_features_to_select": 1},
    "SpectralBiclustering": {"n_best": 2},
    "TSNE": {"max_iter": 250, "perplexity": 5.0},
}
# Their data are no matrix: text, dictionaries, labels. GridSearchCV cannot clone a frozen one.
NO_MATRIX = {
    "CountVectorizer",
    "DictVectorizer",
    "FeatureHasher",
    "FrozenEstimator",
    "HashingVectorizer",
    "LabelBinarizer",
    "LabelEncoder",
    "MultiLabelBinarizer",
    "PatchExtractor",
    "TfidfVectorizer",
}


def _model(kind: type) -> Any:
    regressor = "Regress" in kind.__name__ or kind.__name__ == "TransformedTargetRegressor"
    return Ridge() if regressor else LogisticRegression()


def _tree(kind: type) -> Any:
    chosen = DecisionTreeRegressor if "Regress" in kind.__name__ else DecisionTreeClassifier
    return chosen(max_depth=2, random_state=0)


def made(kind: Any) -> Any:
    """Return an estimator that is quick."""
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if name in BASES and (parameter.default is parameter.empty or name == "estimator"):
            given[name] = BASES[name](kind)
        elif name in FEW and (name, kind.__name__) not in {("n_components", "GaussianMixture")}:
            given[name] = FEW[name]
    return kind(**{**given, **OWN.get(kind.__name__, {})})


def data(dtype: str, order: Any, *, aligned: bool) -> np.ndarray[Any, Any]:
    """Return positive numbers, laid out in memory as is asked for."""
    values = np.random.default_rng(0).gamma(2.0, size=(ROWS, 5)).astype(dtype)
    memory = np.empty(values.nbytes + 16, np.uint8)
    start = -memory.ctypes.data % 16 + (0 if aligned else 1)
    placed = memory[start : start + values.nbytes].view(dtype).reshape(values.shape, order=order)
    placed[...] = values
    return placed


def targets(kind: Any) -> Any:
    labels = np.arange(ROWS) * 7 % 3 % 2
    several = ("MultiTask", "MultiOutput", "RegressorChain", "ClassifierChain", "PLS", "CCA")
    if kind.__name__.startswith(several):
        return np.column_stack([labels, 1 - labels[::-1]])
    if "Regressor" in str(kind.__mro__):
        return np.random.default_rng(1).gamma(2.0, size=ROWS)
    return labels


class Digest(BaseEstimator):
    """A scorer: a number that is another one when any bit of any output is."""

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        found = b""
        for name in ("predict", "transform", "predict_proba", "decision_function", "score_samples"):
            if hasattr(estimator, name):
                out = getattr(estimator, name)(X)
                for part in out if isinstance(out, list | tuple) else [out]:
                    part = part.toarray() if sparse.issparse(part) else np.asarray(part)
                    found += part.astype("U9").tobytes() if part.dtype == object else part.tobytes()
        for name in ("labels_", "embedding_", "X_", "coef_", "components_"):
            value = getattr(estimator, name, None)
            found += value.tobytes() if isinstance(value, np.ndarray) else b""
        return float(zlib.crc32(found))


KINDS = [
    kind for name, kind in all_estimators() if name not in NO_MATRIX and "SearchCV" not in name
]


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(here, "_bundles", {})
    monkeypatch.setattr(batch, "_kept", batch._Kept())


def ours(model: Any, X: Any, y: Any) -> list[Any]:
    """Return test and training score, and the error, as an engine finds them."""
    kernel = model.__sklearn_tags__().input_tags.pairwise
    (path,) = store(Dataset(X, y).folds(INDICES, kernel=kernel))
    digest = here.file_digest(path)
    file = {"path": path, "size": Path(path).stat().st_size, "digest": digest}
    assert here.locate("bundle", [file]) == []
    common = parcel({"model": model, "scoring": Digest(), "error_score": -1.0}).data
    items = parcel([(digest, {"params": {}})] * 2).data
    first, second = pickle.loads(batch.perform("bundle", common, items, 600.0)[1])
    assert (first["test"], first["train"]) == (second["test"], second["train"])
    assert here.file_digest(path) == digest
    return [first["test"], first["train"]]


def theirs(model: Any, X: Any, y: Any) -> list[Any]:
    search = GridSearchCV(
        *(model, {}),
        scoring=Digest(),
        cv=INDICES,
        refit=False,
        return_train_score=True,
        error_score=-1.0,
    )
    try:
        table = search.fit(X, y).cv_results_
    except ValueError as error:
        if "fits failed" in str(error):
            return [-1.0, -1.0]
        raise
    return [float(table[f"split0_{kind}_score"][0]) for kind in ("test", "train")]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_estimator_gives_the_same_bits(form: tuple[str, Any, bool]) -> None:
    dtype, order, aligned = form
    different, worked = {}, 0
    X = data(dtype, order, aligned=aligned)
    assert X.flags.aligned == aligned
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in KINDS:
            model = made(kind)
            inputs = {"IsotonicRegression": X[:, :1], "KernelCenterer": X @ X.T}.get(
                kind.__name__, X
            )
            found = [score(clone(model), inputs, targets(kind)) for score in (ours, theirs)]
            worked += found[1][0] != -1.0
            if found[0] != found[1]:
                different[kind.__name__] = found
    assert different == {}
    assert worked > len(KINDS) - 5, f"{worked} of {len(KINDS)}"
