"""The private names of Optuna that we stand on; no other module uses any."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


def number_in_storage(trial: Any) -> int:
    """Return the number by which a study's storage knows a trial: the way to go on with it."""
    number: int = trial._trial_id
    return number


def in_memory(study: Any) -> bool:
    """Return whether a study's storage gives back what it is given, and ends with this process."""
    from optuna.storages import InMemoryStorage

    return isinstance(study._storage, InMemoryStorage)


def of_a_grid(study: Any) -> bool:
    """Return whether a study's sampler proposes values that it was given itself."""
    from optuna.samplers import GridSampler

    return isinstance(_own(study), GridSampler)


def _own(study: Any) -> Any:
    """Return a study's sampler, out of those that fix some parameters of what it proposes."""
    from optuna.samplers import PartialFixedSampler

    sampler = study.sampler
    while isinstance(sampler, PartialFixedSampler):
        sampler = sampler._base_sampler
    return sampler


def exhausted(study: Any) -> bool:
    """Return whether a sampler that tries all there is has nothing to try that is not under way.

    Optuna's samplers say so when all is finished; until then they would repeat what others try.
    """
    from optuna.samplers import BruteForceSampler, GridSampler
    from optuna.samplers._brute_force import _TreeNode
    from optuna.trial import TrialState

    sampler = _own(study)
    if not isinstance(sampler, GridSampler | BruteForceSampler):
        return False
    trials = study.get_trials(deepcopy=False)
    if any(trial.state == TrialState.WAITING for trial in trials):  # which are asked for first
        return False
    if isinstance(sampler, GridSampler):
        begun = {
            trial.system_attrs["grid_id"]
            for trial in trials
            if "grid_id" in trial.system_attrs
            and sampler._same_search_space(trial.system_attrs["search_space"])
        }
        return len(begun) >= len(sampler._all_grids)
    known = [trial for trial in trials if trial.params]
    tree = _TreeNode()
    with contextlib.suppress(ValueError):  # a space that has changed
        sampler._populate_tree(tree, known, {})
        return bool(known) and tree.count_unexpanded(exclude_running=True) == 0
    return False


@contextlib.contextmanager
def nothing_twice(study: Any) -> Iterator[None]:
    """Have a sampler leave out what is under way, in the body.

    By brute force and strictly, it would not: of other processes it may not know all parameters of
    a trial yet. Of ours they are all suggested at once.
    """
    sampler = _own(study)
    strict = getattr(sampler, "_avoid_premature_stop", None)
    if strict is not None:
        sampler._avoid_premature_stop = False
    try:
        yield
    finally:
        if strict is not None:
            sampler._avoid_premature_stop = strict


def place_on_grid(study: Any, trial: Any) -> None:
    """Tell a sampler of a grid which of its points a trial is that was asked for by name."""
    from optuna.samplers import GridSampler

    sampler = _own(study)
    if not isinstance(sampler, GridSampler):
        return
    if "grid_id" in study._storage.get_trial_system_attrs(trial._trial_id):
        return
    with contextlib.suppress(KeyError, ValueError):  # it is none of them
        point = tuple(trial.params[name] for name in sampler._param_names)
        number = sampler._all_grids.index(point)
        for name, value in {"search_space": sampler._search_space, "grid_id": number}.items():
            study._storage.set_trial_system_attr(trial._trial_id, name, value)
