"""scikit-learn's callbacks are told of what runs elsewhere, as its own searches tell them."""

from __future__ import annotations

import contextlib
import io
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from spotcluster.search import ASHASearch, GridSearch, HalvingGridSearch, LearningCurve

from .conftest import Machines

callback = pytest.importorskip("sklearn.callback")
X, Y = load_iris(return_X_y=True)
WEIGHTS = np.arange(len(Y)) % 3 + 1.0


class Steps(callback.CallbackSupportMixin, BaseEstimator):  # type: ignore[misc]
    """Tells of each of its steps; its score is how many it has done."""

    def __init__(self, n: int = 2, *, fails: bool = False) -> None:
        self.n = n
        self.fails = fails

    @callback.with_callbacks  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Steps:
        task = self._init_callback_context(max_subtasks=self.n)
        task.call_on_fit_task_begin(estimator=self, X=X, y=y)
        for step in range(self.n):
            part = task.subcontext(task_name="step").call_on_fit_task_begin(estimator=self, X=X)
            if self.fails:
                raise ValueError("not today")
            self.done_ = step + 1
            made = {"done_": step + 1}
            part.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes=made)
        task.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    def score(self, X: Any, y: Any = None) -> float:
        return float(self.done_ * len(X))


class Plain:
    """Keeps what it is told, where it is."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def _keep(self, hook: str, estimator: Any, context: Any, **given: Any) -> None:
        path = []
        while context is not None:
            names = (context.estimator_name, context.task_name, context.task_id)
            source = (context.source_estimator_name, context.source_task_name)
            path.append((*names, *source, context.max_subtasks))
            context = context.parent
        values = {name: as_told(value) for name, value in given.items()}
        self.told.append((hook, type(estimator).__name__, path[::-1], values))

    def setup(self, estimator: Any, context: Any) -> None:
        self._keep("setup", estimator, context)

    def on_fit_task_begin(
        self, estimator: Any, context: Any, *, X: Any = None, y: Any = None, metadata: Any = None
    ) -> None:
        self._keep("begin", estimator, context, X=X, y=y, metadata=metadata)

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any = None, fitted_estimator: Any = None
    ) -> None:
        self._keep("end", estimator, context, X=X, fitted_estimator=fitted_estimator)

    def teardown(self, estimator: Any, context: Any) -> None:
        self._keep("teardown", estimator, context)


class Deep(Plain):
    max_propagation_depth: int | None = None


class Shallow(Deep):
    max_propagation_depth = 0


def as_told(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: as_told(item) for name, item in value.items()}
    if isinstance(value, Steps):
        return value.done_
    return np.asarray(value).tolist() if value is not None else None


def same(ours: list[Any], theirs: list[Any]) -> None:
    def renamed(told: Any) -> str:
        return repr(told).replace("SearchCV'", "Search'")

    for one, other in zip(ours, theirs, strict=False):
        assert renamed(one) == renamed(other)
    assert len(ours) == len(theirs)


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("kind", ["steps", "parts", "no callbacks", "fails", "halving"])
def test_set_callbacks_was_ignored(
    pair: Machines,
    kind: str,
    refit: bool,
) -> None:
    """Every hook, in the order and with the tasks and arguments that scikit-learn's search has."""

    def model() -> Any:
        if kind == "parts":
            own = Steps().set_callbacks(Plain())
            return Pipeline([("scale", StandardScaler()), ("count", own)])
        return StandardScaler() if kind == "no callbacks" else Steps()

    grids = {"parts": {"count__n": [1, 2]}, "no callbacks": {"with_mean": [True]}}
    grid: Any = {**grids, "fails": {"fails": [False, True]}}.get(kind, {"n": [1, 2]})
    theirs_, ours_ = GridSearchCV, GridSearch
    more: dict[str, Any] = {"cv": 2, "refit": refit, "error_score": 0.0}
    if kind == "halving":
        theirs_, ours_ = HalvingGridSearchCV, HalvingGridSearch
        more |= {"random_state": 0, "min_resources": 40, "factor": 2}
    scoring = (lambda *_: 1.0) if kind == "no callbacks" else None
    told = []
    for search in (
        theirs_(model(), grid, scoring=scoring, **more),
        ours_(pair.client, model(), grid, scoring=scoring, **more),
    ):
        each = [Plain(), Deep(), Shallow()]
        with contextlib.suppress(UserWarning):
            search.set_callbacks(*each).fit(X, Y)
        inner = search.estimator.steps[1][1]._skl_callbacks if kind == "parts" else []
        told.append([one.told for one in (*each, *inner)])
        assert not hasattr(search, "_callback_fit_ctx")
        assert [type(one) for one in clone(search)._skl_callbacks] == [Plain, Deep, Shallow]
    for ours, theirs in zip(told[1], told[0], strict=True):
        assert len(theirs) > 4
        same(ours, theirs)


def test_weights_are_told(pair: Machines) -> None:
    told = []
    for search in (
        GridSearchCV(Steps(), {"n": [1]}, cv=2, scoring=lambda *_, **__: 1.0),
        GridSearch(pair.client, Steps(), {"n": [1]}, cv=2, scoring=lambda *_, **__: 1.0),
    ):
        recorder = Plain()
        search.set_callbacks(recorder).fit(X, Y, sample_weight=WEIGHTS)
        told.append(recorder.told)
    same(told[1], told[0])
    assert told[0][3][3]["metadata"]["sample_weight"]


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_executors_tell_the_same(kind: Any) -> None:
    told = []
    with kind(2) as executor:
        for search in (
            GridSearchCV(Steps(), {"n": [1, 2]}, cv=2),
            GridSearch(executor, Steps(), {"n": [1, 2]}, cv=2),
        ):
            each = [Plain(), Deep(), Shallow()]
            search.set_callbacks(*each).fit(X, Y)
            told.append([one.told for one in each])
    for ours, theirs in zip(told[1], told[0], strict=True):
        assert len(theirs) > 4
        same(ours, theirs)


def test_scikit_learns_own_log_and_bar(pair: Machines) -> None:
    logs = []
    for kind, first in ((GridSearchCV, ()), (GridSearch, (pair.client,))):
        monitor = callback.ScoringMonitor(scoring=lambda model, X, y: {"s": model.score(X, y)})
        search = kind(*first, Steps().set_callbacks(monitor), {"n": [1, 3]}, cv=2)
        search.set_callbacks(callback.ProgressBar())
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            search.fit(X, Y)
        logs.append(
            [(row["task_id_path"], row["task_name"], row["s"]) for row in monitor.get_logs().data]
        )
        assert " - fit" in shown.getvalue()
        assert "100%" in shown.getvalue()
    assert sorted(logs[1]) == sorted(logs[0])
    assert len(logs[0]) == 2 * (1 + 3) + 3


def test_kinds_of_our_own_tell_too(pair: Machines) -> None:
    for search in (
        ASHASearch(pair.client, Steps(), {"n": [1, 2]}, cv=2, random_state=0, min_resources=40),
        LearningCurve(pair.client, Steps(), cv=2, train_sizes=[0.5, 1.0]),
    ):
        recorder = Plain()
        search.set_callbacks(recorder).fit(X, Y)
        names = [path[-1][1] for hook, _, path, _ in recorder.told if hook == "end"]
        assert names.count("candidate-split-evaluation") == search.completed() > 3
        assert names[-1] == "fit"


def test_what_a_callback_raises_ends_the_search(pair: Machines, tmp_path: Path) -> None:
    class Stops(Plain):
        def on_fit_task_end(self, estimator: Any, context: Any) -> None:
            if context.task_name == "candidate-split-evaluation":
                raise ZeroDivisionError("enough")

    recorder = Stops()
    search = GridSearch(pair.client, Steps(), {"n": [1, 2]}, cv=2, ledger=tmp_path / "ledger")
    with pytest.raises(ZeroDivisionError, match="enough"):
        search.set_callbacks(recorder).fit(X, Y)
    assert not search.running()
    assert recorder.told[-1][0] == "teardown"
    # The rest, and what was done already, is told of when it goes on.
    again = Plain()
    search.set_callbacks(again).fit(X, Y)
    assert len([1 for hook, *_ in again.told if hook == "end"]) == 1 + 1 + 4 + 1
    with pytest.warns(UserWarning, match="Callbacks are told by `fit` only"):
        search.launch(X, Y)
    assert search.wait(60)
