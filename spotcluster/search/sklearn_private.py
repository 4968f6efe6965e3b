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

from spotcluster.search.engine.sklearn_private import safe_indexing, scorers_of

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
    "check_groups_routing_disabled",
    "check_method_params",
    "draws_from_lists",
    "is_arraylike",
    "num_samples",
    "safe_indexing",
    "safe_split",
    "scorers_of",
    "translate_train_sizes",
    "validate_parameter_constraints",
    "warn_or_raise_about_fit_failures",
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
