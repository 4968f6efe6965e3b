#!/usr/bin/env bash
# scikit-learn: halving searches take a callable `refit`, check that it is one, and never call it.
#
# For GridSearchCV a callable `refit` chooses the best candidate from `cv_results_`. The halving
# searches have the same parameter with the same constraint, but choose the best of the last round
# by themselves, so that whoever chooses "the simplest within one standard error" gets the highest
# score, without a word.
# Source: sklearn/model_selection/_search_successive_halving.py, _select_best_index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet scikit-learn==1.9.1
"$folder/venv/bin/python" - <<'PYTHON'
import sklearn
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.tree import DecisionTreeClassifier

print("scikit-learn", sklearn.__version__)
X, y = load_iris(return_X_y=True)
calls = []


def last(results):
    calls.append(len(results["params"]))
    return len(results["params"]) - 1


grid = {"max_depth": [1, 2, 3]}
for kind in (GridSearchCV, HalvingGridSearchCV):
    calls.clear()
    search = kind(DecisionTreeClassifier(random_state=0), grid, refit=last).fit(X, y)
    print(f"{kind.__name__}: refit was called {len(calls)} times")
    assert len(calls) == (kind is GridSearchCV), "halving calls it too now"
PYTHON
echo "Seen again: halving searches do not call refit."
