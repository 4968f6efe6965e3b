"""Model searches on engines that come and go: ipyparallel's or others', and nothing lost.

::

    searches.py     a search: its verbs, with contract.py (scikit-learn's) and following.py
    question.py     what a launch makes of what it is given
    runs.py         one run of it, from launch to the end; outcome.py: what it comes to
    callbacks.py    scikit-learn's, told of a search
    hosts.py        questions to the engines and hosts of a client
    shipping.py     sends functions of engine/ to engines; parcels.py: what they are given
    origins.py      the code and versions that answers come from
    sklearn_private.py, cloudpickle_private.py   what we use of them that is not public
    former.py       modules under their former names, for pickles
    kinds/          what users write down: grids, halving, ASHA, Optuna, curves
    data/           what goes to engines
    dispatch/       who does which evaluation
    backends/       whose engines they are: ipyparallel's, an executor's, dask's
    engine/         what runs there
    results/        what comes back
"""

from __future__ import annotations

from spotcluster.search.data.evaluations import Evaluation, Retry, compute_evaluation
from spotcluster.search.data.splits import persist_cv_splits
from spotcluster.search.former import answer_to_former_names
from spotcluster.search.hosts import (
    get_engines_memory,
    get_host_free_memory,
    one_engine_per_host,
    warm_mmap_on_cv_splits,
)
from spotcluster.search.kinds.asha import ASHASearch
from spotcluster.search.kinds.curves import LearningCurve, learning_curve
from spotcluster.search.kinds.grids import GridSearch, RandomizedGridSeach, RandomizedSearch
from spotcluster.search.kinds.halving import HalvingGridSearch, HalvingRandomSearch
from spotcluster.search.kinds.optuna_search import OptunaSearch
from spotcluster.search.results.results import Best
from spotcluster.search.results.tracking import mlflow
from spotcluster.search.searches import Search

__all__ = [
    "ASHASearch",
    "Best",
    "Evaluation",
    "GridSearch",
    "HalvingGridSearch",
    "HalvingRandomSearch",
    "LearningCurve",
    "OptunaSearch",
    "RandomizedGridSeach",
    "RandomizedSearch",
    "Retry",
    "Search",
    "compute_evaluation",
    "get_engines_memory",
    "get_host_free_memory",
    "learning_curve",
    "mlflow",
    "one_engine_per_host",
    "persist_cv_splits",
    "warm_mmap_on_cv_splits",
]

answer_to_former_names(__name__)
