"""Model searches on engines that come and go: with any ipyparallel client, and nothing lost."""

from __future__ import annotations

from spotcluster.search.asha import ASHASearch
from spotcluster.search.curves import LearningCurve, learning_curve
from spotcluster.search.evaluations import Evaluation, Retry, compute_evaluation
from spotcluster.search.grids import GridSearch, RandomizedGridSeach, RandomizedSearch
from spotcluster.search.halving import HalvingGridSearch, HalvingRandomSearch
from spotcluster.search.hosts import (
    get_engines_memory,
    get_host_free_memory,
    one_engine_per_host,
    warm_mmap_on_cv_splits,
)
from spotcluster.search.optuna_search import OptunaSearch
from spotcluster.search.results import Best
from spotcluster.search.searches import Search
from spotcluster.search.splits import persist_cv_splits

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
    "one_engine_per_host",
    "persist_cv_splits",
    "warm_mmap_on_cv_splits",
]
