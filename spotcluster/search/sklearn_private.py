"""The private names of scikit-learn that searches stand on; nothing else of ours uses any.

Its words, its checks and the order of its draws are part of what a search is expected to say and
do. What engines need too is in `engine.sklearn_private`.
"""

from __future__ import annotations

from typing import Any

from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._search_successive_halving import BaseSuccessiveHalving
from sklearn.model_selection._validation import (
    _check_groups_routing_disabled as check_groups_routing_disabled,
)
from sklearn.model_selection._validation import (
    _translate_train_sizes as translate_train_sizes,
)
from sklearn.model_selection._validation import (
    _warn_or_raise_about_fit_failures as warn_or_raise_about_fit_failures,
)
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.metaestimators import _safe_split as safe_split
from sklearn.utils.validation import _check_method_params as check_method_params
from sklearn.utils.validation import _is_arraylike as is_arraylike
from sklearn.utils.validation import _num_samples as num_samples

from spotcluster.search.engine.sklearn_private import (
    callbacks_of,
    safe_indexing,
    scorers_of,
    without_callbacks,
)

try:
    from sklearn.callback._callback_support import callback_management_context as managed_callbacks
except ImportError:  # before 1.9, where there are none
    from contextlib import nullcontext as managed_callbacks

__all__ = [
    "HALVING_CONSTRAINTS",
    "INHERITED",
    "SEARCH_CONSTRAINTS",
    "BaseSearchCV",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "Options",
    "StrOptions",
    "adopt_tasks",
    "callbacks_of",
    "check_groups_routing_disabled",
    "check_method_params",
    "depth_of",
    "draws_from_lists",
    "is_arraylike",
    "leave_to_estimators",
    "managed_callbacks",
    "num_samples",
    "root_context",
    "safe_indexing",
    "safe_split",
    "scorers_of",
    "translate_train_sizes",
    "validate_parameter_constraints",
    "warn_or_raise_about_fit_failures",
    "without_callbacks",
]

INHERITED = (
    "_check_refit_for_multimetric",
    "_get_param_names",
    "_get_routed_params_for_fit",
    "_get_scorers",
    "_html_repr",
    "_metadata_request",
    "_parameter_constraints",
    "_select_best_index",
    "_sklearn_output_config",
)
"""What our own classes override, or use of themselves: `contract`, `following`, `kinds`."""

SEARCH_CONSTRAINTS: dict[str, Any] = BaseSearchCV._parameter_constraints
HALVING_CONSTRAINTS: dict[str, Any] = BaseSuccessiveHalving._parameter_constraints


def draws_from_lists(sampler: Any) -> bool:
    """Return whether a `ParameterSampler` has no distribution to draw from."""
    return bool(sampler._is_all_lists())


# --- callbacks ------------------------------------------------------------------------------------


def root_context(search: Any, *, max_subtasks: int) -> Any:
    """Return the task that a fit is, and set the callbacks up."""
    return search._init_callback_context(max_subtasks=max_subtasks)


def depth_of(task: Any) -> int:
    """Return how many estimators a task's estimator is in."""
    depth: int = task._propagation_depth
    return depth


def leave_to_estimators(task: Any, callbacks: list[Any]) -> None:
    """Have a task not tell these callbacks: an estimator whose fit it is does."""
    task._propagated_callbacks = callbacks


def adopt_tasks(tops: list[Any], task: Any) -> None:
    """Put tasks that come from an engine in the place of the search's task that they are."""
    for top in tops:
        top.parent, top.task_id = task.parent, task.task_id
        task.parent._children_map[task.task_id] = top
        top.source_estimator_name, top.source_task_name = task.estimator_name, task.task_name
        for each in top:
            each.root_uuid = task.root_uuid
            each._propagation_depth += task._propagation_depth
