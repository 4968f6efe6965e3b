"""The private name of Optuna that we stand on; no other module uses any."""

from __future__ import annotations

from typing import Any


def number_in_storage(trial: Any) -> int:
    """Return the number by which a study's storage knows a trial: the way to go on with it."""
    number: int = trial._trial_id
    return number
