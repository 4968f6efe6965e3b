"""The parameters that searches are given: what they may be, said as scikit-learn says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

from spotcluster.errors import SearchError


class BadParameter(SearchError, InvalidParameterError):  # type: ignore[misc] # it has no types
    """A parameter cannot be what it is: a ValueError too, which scikit-learn's users expect."""


def check(constraints: Mapping[str, Any], params: Mapping[str, Any], owner: str) -> None:
    """Hold parameters against scikit-learn's kind of constraints.

    Raises
    ------
    BadParameter
        For the first one that cannot be.
    """
    try:
        validate_parameter_constraints(constraints, params, caller_name=owner)
    except InvalidParameterError as error:
        raise BadParameter(str(error)) from None
