"""A study that a search of ours has filled is one that optuna-dashboard shows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import optuna_dashboard
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from werkzeug.test import Client

from spotcluster.search import OptunaSearch

SPACE = {
    "C": optuna.distributions.FloatDistribution(0.01, 100, log=True),
    "kernel": ["rbf", "linear"],
}


def test_dashboard_shows_the_trials_of_a_search(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(
        study_name="iris",
        storage=storage,
        direction="maximize",
        pruner=optuna.pruners.NopPruner(),
    )
    with ThreadPoolExecutor(2) as pool:
        search = OptunaSearch(pool, SVC(), SPACE, cv=3, study=study, n_trials=6)
        search.launch(*load_iris(return_X_y=True))
        assert search.wait(240)
    client = Client(optuna_dashboard.wsgi(storage))
    (shown,) = client.get("/api/studies").json["study_summaries"]
    assert shown["study_name"] == "iris"
    assert shown["directions"] == ["maximize"]
    found = client.get(f"/api/studies/{shown['study_id']}?after=0").json
    assert [one["state"] for one in found["trials"]] == ["Complete"] * 6
    assert max(one["values"][0] for one in found["trials"]) == search.best_score_
    assert {one["name"] for one in found["union_search_space"]} == {"C", "kernel"}
