#!/usr/bin/env bash
# Optuna: of choices that are equal in Python, a study keeps the first, whatever was evaluated.
#
# A categorical parameter is kept as the index of its choice, and the index is looked up with `==`.
# `1`, `1.0` and `True` are equal, so the model that was evaluated with the third is told as the
# first: `best_params` names a model that nobody has tried.
# Source: optuna/distributions.py, CategoricalDistribution.to_internal_repr.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet optuna==5.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import optuna

print("optuna", optuna.__version__)
optuna.logging.set_verbosity(optuna.logging.ERROR)
choices = [1, True, 1.0]
met = []


def objective(trial):
    met.append(trial.suggest_categorical("x", choices))
    return 0.0 if met[-1] is True else 1.0


study = optuna.create_study(sampler=optuna.samplers.GridSampler({"x": choices}))
for choice in choices:
    study.enqueue_trial({"x": choice})
study.optimize(objective, n_trials=3)
print("asked for: ", choices)
print("evaluated: ", met)
told = [trial.params["x"] for trial in study.trials]
print("told as:   ", told)
print("best_params", study.best_params, "and only True was good")
assert [type(one) for one in met] == [int, bool, float], "other choices were evaluated"
assert [type(one) for one in told] == [int, int, int], "each choice is kept as itself now"
PYTHON
echo "Seen again: equal choices are one."
