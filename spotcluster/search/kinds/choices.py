"""The choices of a study, in a form that its storage gives back.

A database keeps choices as JSON: a tuple comes back as a list, and an estimator not at all. A study
is asked for the text of such a choice then, and the model gets the choice itself. One that was
begun with lists in place of tuples goes on with them. What is in memory stays as it is.

Of choices that are equal (`max_features` of 1 and of 1.0, say) Optuna knows the first one only, so
their texts are asked for too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from spotcluster.search.data.candidates import in_words
from spotcluster.search.kinds.optuna_private import in_memory, of_a_grid

PLAIN = (bool, int, float, str, type(None))


class Choices:
    """What a study calls the choices of each parameter.

    Parameters
    ----------
    study : optuna.Study
    categorical : type
        Optuna's distribution of choices.
    """

    def __init__(self, study: Any, categorical: Any) -> None:
        self._study = study
        self._categorical = categorical
        self._as_they_are = in_memory(study)
        self._by_text = not of_a_grid(study)  # which has its own values, to be found among these
        self._known: dict[str, tuple[list[Any], list[Any]]] = {}  # as kept, and as they are

    def kept(self, name: str, choices: Sequence[Any]) -> Sequence[Any]:
        """Return what the study is to be asked for."""
        keepable = self._as_they_are or all(isinstance(item, PLAIN) for item in choices)
        if keepable and not (self._by_text and _some_are_equal(choices)):
            return choices
        if name not in self._known:
            self._known[name] = self._before(name, choices) or _texts(choices), list(choices)
        return self._known[name][0]

    def distribution(self, name: str, given: Any) -> Any:
        """Return a distribution that the study's storage can keep."""
        if not isinstance(given, self._categorical):
            return given
        kept = self.kept(name, given.choices)
        return given if kept is given.choices else self._categorical(kept)

    def real(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of a trial with the choices themselves."""
        return {name: self._swapped(name, params[name], 0) for name in params}

    def told(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return parameters as the study calls them."""
        return {name: self._swapped(name, params[name], 1) for name in params}

    def let_suggest(self, trial: Any) -> None:
        """Have a trial that a function suggests from do so."""
        suggest: Callable[..., Any] = trial.suggest_categorical

        def suggest_categorical(name: str, choices: Sequence[Any]) -> Any:
            return self.real({name: suggest(name, self.kept(name, choices))})[name]

        trial.suggest_categorical = suggest_categorical

    def _swapped(self, name: str, value: Any, of: int) -> Any:
        both = self._known.get(name)
        if both is None:
            return value
        places = (
            n for n, item in enumerate(both[of]) if item is value or _form(item) == _form(value)
        )
        place = next(places, None)
        return value if place is None else both[1 - of][place]

    def _before(self, name: str, choices: Sequence[Any]) -> list[Any] | None:
        """Return what the study has called them, if it has lists for tuples."""
        for trial in self._study.get_trials(deepcopy=False):
            known = getattr(trial.distributions.get(name), "choices", None)
            if known is not None:
                same = [_form(item) for item in known] == [_form(item) for item in choices]
                return list(known) if same else None
        return None


def _some_are_equal(choices: Sequence[Any]) -> bool:
    numbers = [item for item in choices if isinstance(item, bool | int | float)]
    return len(set(numbers)) < len(numbers)


def _form(value: Any) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return in_words(value)


def _texts(choices: Sequence[Any]) -> list[str]:
    texts = [in_words(item) for item in choices]
    exact = [
        repr(item) if isinstance(item, PLAIN) else text
        for text, item in zip(texts, choices, strict=True)
    ]
    texts = [text if texts.count(text) == 1 else exact[n] for n, text in enumerate(texts)]
    return [f"{text} ({n})" if texts.count(text) > 1 else text for n, text in enumerate(texts)]
