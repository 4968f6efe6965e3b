"""What an earlier version has pickled is read by this one."""

from __future__ import annotations

import importlib
import pickle
import pickletools
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_iris

from spotcluster import search
from spotcluster.search import former

FITTED = Path(__file__).parents[2] / "engines" / "data" / "a45db88" / "home" / "fitted.pickle"


def test_a_fitted_search_of_an_earlier_version_is_read_from_its_file() -> None:
    data = FITTED.read_bytes()
    said = {arg for _, arg, _ in pickletools.genops(data) if isinstance(arg, str)}
    assert "spotcluster.search.grids" in said  # where it was then
    fitted = pickle.loads(data)
    assert type(fitted) is search.GridSearch
    X, y = load_iris(return_X_y=True)
    assert fitted.score(X, y) > 0.9
    assert len(fitted.cv_results_["params"]) == 8


def test_an_evaluation_of_an_earlier_version_is_read_and_it_reads_ours() -> None:
    one = search.Evaluation(3, 1, 0.5, node="node001", test_scores={"accuracy": 0.5})
    attributes = one.__reduce_ex__(2)[2]
    assert attributes["test_scores"] == {"accuracy": 0.5}  # a dictionary, which was its own then
    del attributes["calls"]  # later than the first version

    class Former:
        def __reduce__(self) -> Any:
            return object.__new__, (search.Evaluation,), attributes

    read = pickle.loads(pickle.dumps(Former()))
    assert read == one
    assert read.calls is None


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *(("evaluations", "Evaluation"), ("evaluations", "Retry"), ("results", "Best")),
        *(("grids", "RandomizedSearch"), ("halving", "HalvingGridSearch"), ("asha", "ASHASearch")),
        *(("curves", "LearningCurve"), ("optuna_search", "OptunaSearch"), ("searches", "Search")),
        *(("splits", "persist_cv_splits"), ("curves", "learning_curve")),
    ],
)
def test_public_things_are_found_where_they_were(module: str, name: str) -> None:
    # As pickle does it: by the name of the module that was written.
    read = pickle.loads(f"cspotcluster.search.{module}\n{name}\n.".encode())
    assert read is getattr(search, name)


@pytest.mark.parametrize("place", former.MOVED)
def test_a_former_name_says_where_things_are_now(place: str) -> None:
    now = importlib.import_module(f"spotcluster.search.{former.MOVED[place]}")
    module = importlib.import_module(f"spotcluster.search.{place}")
    own = [
        name for name, one in vars(now).items() if getattr(one, "__module__", "") == now.__name__
    ]
    assert own
    for name in own:
        assert getattr(module, name) is getattr(now, name)
    with pytest.raises(AttributeError):
        _ = module.nothing_of_this_name
    assert not hasattr(module, "__file__")  # or its file would seem to belong to this name
