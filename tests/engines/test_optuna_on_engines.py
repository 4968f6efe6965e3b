"""Model-based search on real engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ShuffleSplit, cross_val_score
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from spotcluster.errors import SearchError
from spotcluster.search.kinds.optuna_search import OptunaSearch

from .conftest import LIMIT, Machines, undelayed

optuna = pytest.importorskip("optuna")
optuna.logging.set_verbosity(optuna.logging.WARNING)
State = optuna.trial.TrialState
X, Y = load_iris(return_X_y=True)
CV = ShuffleSplit(3, test_size=0.25, random_state=0)  # as in the fixture iris
SPACE = {
    "C": optuna.distributions.FloatDistribution(0.01, 100, log=True),
    "kernel": ["rbf", "linear"],
}


def tpe() -> Any:
    return optuna.samplers.TPESampler(seed=0, n_startup_trials=3)


def test_scores_and_study_agree_with_scikit_learn(pair: Machines, iris: list[str]) -> None:
    search = OptunaSearch(pair.client, sampler=tpe(), n_trials=12)
    search.launch_for_splits(SVC(), SPACE, iris)
    assert search.wait(LIMIT)
    assert (search.completed(), search.total(), search.progress()) == (36, 36, 1.0)
    table = search.cv_results_
    assert table["trial"].tolist() == list(range(12))
    for params, mean, trial in zip(
        table["params"], table["mean_test_score"], search.study_.trials, strict=True
    ):
        assert trial.params == params
        assert trial.value == mean == cross_val_score(SVC(**params), X, Y, cv=CV).mean()
    assert search.best_score_ == search.study_.best_value
    assert undelayed(search) == []


def test_with_a_window_it_is_optunas_own_loop(pair: Machines, iris: list[str]) -> None:
    search = OptunaSearch(pair.client, sampler=tpe(), n_trials=8, n_concurrent=2)
    search.launch_for_splits(SVC(), SPACE, iris)
    assert search.wait(LIMIT)
    again = OptunaSearch(pair.client, sampler=tpe(), n_trials=8, n_concurrent=2)
    again.launch_for_splits(SVC(), SPACE, iris)
    assert again.wait(LIMIT)
    assert [t.params for t in search.study_.trials] == [t.params for t in again.study_.trials]


def test_pruned_trials_leave_splits_out(pair: Machines, iris: list[str]) -> None:
    def space(trial: Any) -> dict[str, Any]:
        return {"max_depth": trial.suggest_int("depth", 1, 2)}

    pruner = optuna.pruners.ThresholdPruner(lower=0.8)
    sampler = optuna.samplers.GridSampler({"depth": [1, 2]})
    search = OptunaSearch(pair.client, sampler=sampler, pruner=pruner, n_trials=2)
    search.launch_for_splits(DecisionTreeClassifier(random_state=0), space, iris)
    assert search.wait(LIMIT)
    states = {trial.params["depth"]: trial for trial in search.study_.trials}
    assert states[1].state == State.PRUNED
    assert list(states[1].intermediate_values) == [0]
    assert states[2].state == State.COMPLETE
    assert len(states[2].intermediate_values) == 3
    assert sum(bool(item.node) for item in search.evaluations()) == 4
    assert search.progress() == 1.0
    assert search.best_params_ == {"max_depth": 2}
    assert search.failed() == []


def test_failed_trials_are_told_as_failed(pair: Machines, iris: list[str]) -> None:
    space = {"kernel": ["linear", "no such kernel"]}
    sampler = optuna.samplers.GridSampler(space)
    search = OptunaSearch(pair.client, sampler=sampler, n_trials=2)
    search.launch_for_splits(SVC(), space, iris)
    assert search.wait(LIMIT)
    states = {trial.params["kernel"]: trial.state for trial in search.study_.trials}
    assert states == {"linear": State.COMPLETE, "no such kernel": State.FAIL}


def test_a_study_of_the_users_gets_the_trials(pair: Machines, iris: list[str]) -> None:
    sampler, pruner = optuna.samplers.RandomSampler(seed=3), optuna.pruners.NopPruner()
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    for count in (3, 5):
        search = OptunaSearch(pair.client, study=study, n_trials=count)
        assert search.launch_for_splits(SVC(), SPACE, iris).wait(LIMIT)
    assert [trial.state for trial in study.trials] == [State.COMPLETE] * 8
    assert search.cv_results_["trial"].tolist() == [3, 4, 5, 6, 7]
    assert np.isfinite(search.best_score_)


def test_a_space_function_that_raises_stops_the_search(pair: Machines, iris: list[str]) -> None:
    def space(trial: Any) -> dict[str, Any]:
        return {"C": 1 / (2 - trial.number)}

    search = OptunaSearch(pair.client, n_trials=9).launch_for_splits(SVC(), space, iris)
    with pytest.raises(SearchError, match="space function raised ZeroDivisionError"):
        search.wait(LIMIT)


def test_a_search_that_could_not_begin_could_not_be_launched_again(
    pair: Machines, iris: list[str], tmp_path: Path
) -> None:
    search = OptunaSearch(pair.client, n_trials=2, ledger=tmp_path / "ledger")
    search.set_params(study=optuna.create_study(direction="minimize"))
    with pytest.raises(SearchError, match="does not maximise"):
        search.launch_for_splits(SVC(), SPACE, iris)
    assert not search.running()
    search.set_params(study=None).launch_for_splits(SVC(), SPACE, iris)
    assert search.wait(LIMIT)
    assert search.completed() == 6


def test_fit_as_an_estimator(pair: Machines) -> None:
    space = {"C": [0.1, 1.0, 10.0]}
    search = OptunaSearch(pair.client, SVC(), space, sampler=tpe(), n_trials=4, cv=3)
    copy = clone(search)
    assert copy.fit(X, Y).predict(X[:2]).tolist() == [0, 0]
    assert copy.best_score_ == cross_val_score(SVC(**copy.best_params_), X, Y, cv=3).mean()
    assert not hasattr(search, "study_")


def test_a_number_as_error_score_counts(pair: Machines, iris: list[str]) -> None:
    search = OptunaSearch(pair.client, n_trials=1, error_score=-1.0)
    search.launch_for_splits(SVC(), {"kernel": ["no such kernel"]}, iris)
    assert search.wait(LIMIT)
    assert search.study_.trials[0].value == -1.0


def test_a_study_in_a_database_goes_on(pair: Machines, iris: list[str], tmp_path: Path) -> None:
    pruner = optuna.pruners.ThresholdPruner(lower=0.0)  # splits one by one, and none left out
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    study = optuna.create_study(
        storage=storage, study_name="svc", direction="maximize", sampler=tpe(), pruner=pruner
    )
    space = {"C": optuna.distributions.FloatDistribution(0.1, 10)}
    search = OptunaSearch(pair.client, study=study, n_trials=6, n_concurrent=2)
    search.launch_for_splits(SVC(), space, iris, pace=0.05)
    assert len([next(search.as_completed(LIMIT)) for _ in range(2)]) == 2
    search.abort()
    assert search.ledger is not None
    resumed = OptunaSearch.resume(search.ledger, pair.client)
    assert resumed.wait(LIMIT)
    kept = optuna.load_study(storage=storage, study_name="svc")
    assert [trial.state for trial in kept.trials] == [State.COMPLETE] * 6
    assert [t.params for t in kept.trials] == list(resumed.cv_results_["params"])
    assert [t.value for t in kept.trials] == resumed.cv_results_["mean_test_score"].tolist()


def test_the_best_trial_violated_the_constraints(pair: Machines, iris: list[str]) -> None:
    if not hasattr(optuna.trial.Trial, "set_constraint"):
        pytest.skip("Optuna 4 has no such thing")

    def space(trial: Any) -> dict[str, Any]:
        depth = trial.suggest_int("max_depth", 1, 4)
        trial.set_constraint("small", depth - 1.5)
        return {"max_depth": depth}

    search = OptunaSearch(pair.client, sampler=optuna.samplers.BruteForceSampler(), n_trials=9)
    model = DecisionTreeClassifier(random_state=0)
    search.launch_for_splits(model, space, iris)
    assert search.wait(LIMIT)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 4
    assert search.best_params_ == {"max_depth": 1} == search.study_.best_params
    assert search.best_score_ < max(scores)
    assert search.find_bests()[0].params == {"max_depth": 1}

    def hopeless(trial: Any) -> dict[str, Any]:
        trial.set_constraint("small", 1.0)
        return {"max_depth": trial.suggest_int("max_depth", 1, 2)}

    search = OptunaSearch(pair.client, model, hopeless, n_trials=2, cv=3)
    with pytest.raises(SearchError, match="No trial satisfies the constraints"):
        search.fit(*load_iris(return_X_y=True))
    assert not hasattr(search, "best_params_")
    assert len(search.cv_results_["params"]) == 2


def test_tuples_in_a_database_are_gone_on_with(
    pair: Machines, iris: list[str], tmp_path: Path
) -> None:
    space = {"solver": [("lbfgs",), ("newton-cg",)], "C": [0.1, 1.0]}

    def study() -> Any:
        return optuna.create_study(
            storage=f"sqlite:///{tmp_path / 'study.db'}",
            study_name="mine",
            direction="maximize",
            load_if_exists=True,
        )

    class Chosen(LogisticRegression):
        def fit(self, X: Any, y: Any) -> Chosen:
            given, self.solver = self.solver, self.solver[0]
            super().fit(X, y)
            self.solver = given
            return self

    model, ledger = Chosen(max_iter=300), tmp_path / "ledger"
    first = OptunaSearch(pair.client, study=study(), n_trials=3, ledger=ledger)
    assert first.launch_for_splits(model, space, iris).wait(LIMIT)
    again = OptunaSearch(pair.client, study=study(), n_trials=5, ledger=tmp_path / "other")
    assert again.launch_for_splits(model, space, iris).wait(LIMIT)
    tried = [*first.cv_results_["params"], *again.cv_results_["params"]]
    assert {type(params["solver"]) for params in tried} == {tuple}
    assert len(study().trials) == 8
    resumed = OptunaSearch.resume(ledger, pair.client)
    assert resumed.wait(LIMIT)
    assert len(study().trials) == 8  # all were known
    assert resumed.best_params_ == first.best_params_
