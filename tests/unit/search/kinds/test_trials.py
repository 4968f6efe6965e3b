"""What a study is asked and told, whatever the engines do."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotcluster.errors import SearchError
from spotcluster.search.kinds.trials import Trials, distributions, study_for

optuna = pytest.importorskip("optuna")
optuna.logging.set_verbosity(optuna.logging.WARNING)
State = optuna.trial.TrialState
SPACE = {"x": optuna.distributions.FloatDistribution(-1, 1), "kind": ["a", "b"]}


def score_of(params: dict[str, Any], split: int) -> float:
    return -(params["x"] ** 2) + 0.01 * split + 0.1 * (params["kind"] == "a")


def tpe(seed: int = 0) -> Any:
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=3)


def run(trials: Trials, order: random.Random, room: int = 3) -> None:
    """Evaluate with engines that finish in any order; one split after the other when pruning."""
    under_way: list[tuple[int, int]] = []
    while True:
        for row in trials.advance(room):
            under_way += [(row, s) for s in range(1 if trials.prunes else trials.n_splits)]
        if trials.over:
            return
        row, split = under_way.pop(order.randrange(len(under_way)))
        trials.take(row, split, score_of(trials.rows[row].params, split))
        if trials.prunes and not trials.finished(row):
            under_way.append((row, split + 1))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), window=st.integers(1, 5))
def test_with_a_window_the_trials_do_not_depend_on_which_engine_is_faster(
    seed: int, window: int
) -> None:
    def params_of(order: int) -> list[dict[str, Any]]:
        trials = Trials(study_for(None, tpe(seed), None), SPACE, 8, 2, window)
        run(trials, random.Random(order))
        return [row.params for row in trials.rows]

    assert params_of(1) == params_of(2)


def test_a_window_of_one_is_optunas_own_loop() -> None:
    trials = Trials(study_for(None, tpe(), None), SPACE, 10, 2, window=1)
    run(trials, random.Random(0))
    peer = optuna.create_study(direction="maximize", sampler=tpe())

    def objective(trial: Any) -> float:
        trial = peer.ask(distributions(SPACE)) if trial is None else trial
        return (score_of(trial.params, 0) + score_of(trial.params, 1)) / 2

    for _ in range(10):
        trial = peer.ask(distributions(SPACE))
        peer.tell(trial, objective(trial))
    assert [t.params for t in trials.study.trials] == [t.params for t in peer.trials]
    assert [t.value for t in trials.study.trials] == [t.value for t in peer.trials]


@settings(max_examples=20, deadline=None)
@given(order=st.integers(0, 1000), room=st.integers(1, 6))
def test_without_a_window_all_trials_are_told_once(order: int, room: int) -> None:
    trials = Trials(study_for(None, optuna.samplers.RandomSampler(seed=1), None), SPACE, 12, 2)
    run(trials, random.Random(order), room)
    assert [trial.state for trial in trials.study.trials] == [State.COMPLETE] * 12
    for row, trial in zip(trials.rows, trials.study.trials, strict=True):
        assert trial.value == pytest.approx(score_of(row.params, 0) + 0.005)


def test_pruner_sees_the_mean_of_the_splits_so_far() -> None:
    pruner = optuna.pruners.ThresholdPruner(lower=0.0)
    trials = Trials(study_for(None, tpe(), pruner), {"x": [1]}, 2, 3)
    assert trials.prunes
    assert trials.advance(2) == [0, 1]
    trials.take(0, 0, 0.4)
    trials.take(0, 1, 0.2)
    trials.take(1, 0, -0.1)
    assert trials.finished(1)
    assert not trials.finished(0)
    trials.take(0, 2, -0.9)  # the last split is never pruned
    assert trials.advance(2) == []
    first, second = trials.study.trials
    assert (first.state, second.state) == (State.COMPLETE, State.PRUNED)
    assert first.value == pytest.approx(-0.1)
    assert first.intermediate_values == {
        0: pytest.approx(0.4),
        1: pytest.approx(0.3),
        2: pytest.approx(-0.1),
    }
    assert trials.over


@pytest.mark.parametrize("score", [math.nan, math.inf, 0.5])
def test_failed_trials_are_told_as_failed(score: float) -> None:
    trials = Trials(study_for(None, None, None), {"x": [1]}, 1, 2)
    trials.advance(1)
    trials.take(0, 0, score, failed=score == 0.5)
    trials.take(0, 1, 0.5)
    trials.advance(1)
    assert trials.study.trials[0].state == State.FAIL
    assert trials.over


@pytest.mark.parametrize("window", [1, 3, None])
def test_a_sampler_that_has_tried_everything_ends_the_search(window: int | None) -> None:
    sampler = optuna.samplers.GridSampler({"x": [1, 2, 3]})
    trials = Trials(study_for(None, sampler, None), {"x": [1, 2, 3], "kind": ["a"]}, 50, 1, window)
    run(trials, random.Random(0), room=3)
    assert trials.over
    assert {trial.params["x"] for trial in trials.study.trials} == {1, 2, 3}
    assert all(trial.state == State.COMPLETE for trial in trials.study.trials)
    assert len(trials.rows) == 3


def test_a_function_suggests_and_may_prune() -> None:
    def space(trial: Any) -> dict[str, Any]:
        kind = trial.suggest_categorical("kind", ["svc", "tree"])
        if trial.number == 1:
            raise optuna.TrialPruned
        return {"model": kind.upper(), "depth": trial.suggest_int("depth", 1, 9)}

    trials = Trials(study_for(None, tpe(), None), space, 3, 1)
    assert trials.advance(5) == [0, 1]
    assert [trial.state for trial in trials.study.trials] == [
        State.RUNNING,
        State.PRUNED,
        State.RUNNING,
    ]
    assert set(trials.rows[0].params) == {"model", "depth"}
    assert set(trials.rows[0].suggested) == {"kind", "depth"}


def test_trials_of_a_client_that_has_gone_are_asked_for_again() -> None:
    first = Trials(study_for(None, tpe(), None), SPACE, 3, 1)
    first.advance(2)
    first.take(0, 0, 0.25)
    second = Trials(study_for(None, tpe(), None), SPACE, 3, 1)
    for row in first.rows:
        second.adopt(row.params, row.suggested, row.trial.number)
    second.take(0, 0, 0.25)
    assert second.advance(2) == [2]
    assert second.study.trials[0].value == 0.25
    assert [row.params for row in second.rows[:2]] == [row.params for row in first.rows]
    assert second.advance(9) == []


def test_trials_of_a_study_that_was_kept_are_found_by_their_numbers() -> None:
    study = optuna.create_study(direction="maximize", sampler=tpe())
    first = Trials(study, SPACE, 3, 1)
    first.advance(2)
    first.take(0, 0, 0.25)
    first.advance(2)
    second = Trials(study, SPACE, 3, 1)
    for row in first.rows:
        second.adopt(row.params, row.suggested, row.trial.number)
    second.take(0, 0, 0.25)  # told already
    second.take(1, 0, 0.5)
    second.advance(1)
    assert [trial.value for trial in study.trials[:2]] == [0.25, 0.5]


def test_studies_that_cannot_be_used() -> None:
    several = optuna.create_study(directions=["maximize", "minimize"])
    with pytest.raises(SearchError, match="2 objectives, and a search has one"):
        study_for(several, None, None)
    with pytest.raises(SearchError, match="does not maximise"):
        study_for(optuna.create_study(), None, None)
    with pytest.raises(SearchError, match="as well"):
        study_for(optuna.create_study(direction="maximize"), tpe(), None)


@pytest.mark.parametrize("value", ["abc", 3, []])
def test_spaces_that_cannot_be_used(value: Any) -> None:
    with pytest.raises(SearchError, match="The space of 'x'"):
        distributions({"x": value})


def test_what_a_space_function_does_wrong_is_said() -> None:
    trials = Trials(study_for(None, None, None), lambda trial: 1 / 0, 1, 1)
    with pytest.raises(SearchError, match="ZeroDivisionError"):
        trials.advance(1)
    trials = Trials(study_for(None, None, None), lambda trial: 5, 1, 1)
    with pytest.raises(SearchError, match="returned a int"):
        trials.advance(1)


def test_without_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(SearchError, match="pip install optuna"):
        study_for(None, None, None)


def by_brute_force(trial: Any) -> dict[str, Any]:
    """Four points."""
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        return {"kind": "a", "x": trial.suggest_int("n", 1, 3)}
    return {"kind": "b", "x": 0}


@pytest.mark.parametrize("kind", ["grid", "brute force", "strict"])
@pytest.mark.parametrize("room", [1, 3, 64])
@pytest.mark.parametrize("window", [None, 5])
def test_points_under_way_were_evaluated_twice(kind: str, room: int, window: int | None) -> None:
    """Seven trials for four points on two engines; at 64 engines some 43 too many."""
    samplers = optuna.samplers
    space: Any = {"x": [1, 2], "kind": ["a", "b"]}
    if kind == "grid":
        sampler = samplers.GridSampler(space)
    else:
        sampler = samplers.BruteForceSampler(avoid_premature_stop=kind == "strict")
        space = by_brute_force
    trials = Trials(study_for(None, sampler, None), space, 50, 1, window)
    run(trials, random.Random(0), room)
    assert trials.over
    assert len(trials.rows) == len(trials.study.trials) == 4
    assert len({tuple(row.params.items()) for row in trials.rows}) == 4
    # Nor is it asked again when all is known.
    again = Trials(trials.study, space, 50, 1, window)
    assert again.advance(room) == []
    assert again.over
    assert again.exhausted


def test_a_grid_of_which_some_parameters_are_fixed_ends_when_optuna_ends_it() -> None:
    space = {"x": [1, 2], "kind": ["a", "b"]}
    grid = optuna.samplers.GridSampler(space)
    sampler = optuna.samplers.PartialFixedSampler({"x": 1}, grid)
    trials = Trials(study_for(None, sampler, None), space, 50, 1)
    run(trials, random.Random(0))
    assert len(trials.rows) == 4


@pytest.mark.parametrize("kind", ["a", "c"])
def test_a_trial_that_was_enqueued_ended_the_search_over_a_grid(kind: str) -> None:
    """A KeyError of Optuna's, which looks for its place on the grid."""
    space = {"x": [1, 2], "kind": ["a", "b", "c"]}
    grid = {"x": [1, 2], "kind": ["a", "b"]}
    study = study_for(None, optuna.samplers.GridSampler(grid), None)
    study.enqueue_trial({"x": 2, "kind": kind})
    trials = Trials(study, space, 50, 1)
    run(trials, random.Random(0), room=1)
    assert {tuple(row.params.values()) for row in trials.rows} >= {
        (x, kind) for x in (1, 2) for kind in ("a", "b")
    }


def test_a_space_function_that_prunes_the_last_trial_ended_the_search() -> None:
    def space(trial: Any) -> dict[str, Any]:
        trial.suggest_int("x", 0, 2)
        raise optuna.TrialPruned

    trials = Trials(study_for(None, optuna.samplers.BruteForceSampler(), None), space, 9, 1)
    assert trials.advance(1) == []
    assert trials.over
    assert len(trials.study.trials) == 3


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("function", [False, True])
def test_of_choices_that_are_equal_the_study_knew_the_first(
    tmp_path: Path, kept: bool, function: bool
) -> None:
    """`max_features` of 1 is one feature, of 1.0 all of them."""
    choices = [1, 1.0, True, "sqrt"]

    def suggests(trial: Any) -> dict[str, Any]:
        return {"max_features": trial.suggest_categorical("max_features", choices)}

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.BruteForceSampler(),
        storage=f"sqlite:///{tmp_path / 'study.db'}" if kept else None,
    )
    space: Any = suggests if function else {"max_features": choices}
    trials = Trials(study, space, 9, 1)
    while not trials.over:
        for row in trials.advance(4):
            trials.take(row, 0, 0.5)
    found = [row.params["max_features"] for row in trials.rows]
    assert sorted(map(repr, found)) == sorted(map(repr, choices))
    known = [trial.params["max_features"] for trial in study.trials]
    assert sorted(known) == ["1", "1.0", "True", "sqrt"]


@pytest.mark.parametrize("number", [1, 3])
def test_a_grid_that_is_resumed_goes_on_where_it_was(number: int) -> None:
    space = {"x": [1, 2], "kind": ["a", "b"]}
    first = Trials(study_for(None, optuna.samplers.GridSampler(space), None), space, 50, 1)
    first.advance(number)
    second = Trials(study_for(None, optuna.samplers.GridSampler(space), None), space, 50, 1)
    for row in first.rows:
        second.adopt(row.params, row.suggested, row.trial.number)
        second.take(row.trial.number, 0, score_of(row.params, 0))
    run(second, random.Random(0), 3)
    assert len(second.rows) == 4
    assert len({tuple(row.params.items()) for row in second.rows}) == 4
    assert all(trial.state == State.COMPLETE for trial in second.study.trials)


class Lists:
    """A value that JSON does not have."""


LISTS = Lists()


def function_of_layers(trial: Any) -> None:
    trial.suggest_categorical("layers", [(10,), (20, 20), None])


def function_of_tuples(trial: Any) -> None:
    trial.suggest_categorical("layers", [(10,), (20, 20), None])
    trial.suggest_categorical("kind", ["a", LISTS])


@pytest.mark.parametrize("space", ["dict", "function"])
@pytest.mark.parametrize("former", [False, True])
def test_tuples_in_a_database_could_not_be_gone_on_with(
    tmp_path: Path,
    space: str,
    former: bool,
) -> None:
    """On disk a tuple is a list, and the second process was refused."""
    layers: list[Any] = [(10,), (20, 20), None]
    tried: Any = {"layers": layers, "kind": ["a", LISTS]}
    if former:
        tried = {"layers": layers}
    if space == "function":
        tried = function_of_layers if former else function_of_tuples

    def study() -> Any:
        return optuna.create_study(
            storage=f"sqlite:///{tmp_path / 'study.db'}",
            study_name="mine",
            direction="maximize",
            load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(seed=0),
        )

    if former:  # as our former versions and Optuna alone do it
        begun = study()
        begun.tell(begun.ask({"layers": optuna.distributions.CategoricalDistribution(layers)}), 1.0)
    first = Trials(study(), tried, 4, 1)
    first.advance(4)
    values = [row.params["layers"] for row in first.rows]
    assert {type(value) for value in values} <= {tuple, type(None)}
    assert (20, 20) in values or (10,) in values
    first.take(0, 0, 0.5)
    first.advance(0)
    second = Trials(study(), tried, 6, 1)
    for row in first.rows:
        second.adopt(row.params, row.suggested, row.trial.number)
    assert len(second.study.trials) == 4 + former  # none was asked for again
    assert [row.told for row in second.rows] == [True, False, False, False]
    rows = second.advance(9)
    assert all(second.rows[row].params["layers"] in layers for row in rows)
    if not former:
        assert {row.params["kind"] for row in second.rows} <= {"a", LISTS}


def test_tuples_in_memory_stay_what_they_are() -> None:
    trials = Trials(study_for(None, tpe(), None), {"layers": [(10,), (20, 20)]}, 1, 1)
    trials.advance(1)
    assert type(trials.study.trials[0].params["layers"]) is tuple


def test_what_violates_a_constraint_is_known_when_it_is_told() -> None:
    def space(trial: Any) -> dict[str, Any]:
        x = trial.suggest_int("x", 0, 9)
        if hasattr(trial, "set_constraint"):
            trial.set_constraint("small", x - 4)
        else:
            pytest.skip("Optuna 4 has no such thing")
        return {"x": x}

    trials = Trials(study_for(None, optuna.samplers.RandomSampler(seed=0), None), space, 8, 1)
    trials.advance(8)
    for number, row in enumerate(trials.rows):
        trials.take(number, 0, float(row.params["x"]))
    trials.advance(8)
    assert [row.infeasible for row in trials.rows] == [row.params["x"] > 4 for row in trials.rows]
    assert {row.infeasible for row in trials.rows} == {True, False}
    again = Trials(trials.study, space, 8, 1)
    for row in trials.rows:
        again.adopt(row.params, row.suggested, row.trial.number)
    assert [row.infeasible for row in again.rows] == [row.infeasible for row in trials.rows]
