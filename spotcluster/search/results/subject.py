"""What a search is of, in the words that stand above its pictures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.base import ClassifierMixin, RegressorMixin

from spotcluster.search.data.candidates import in_words

_LONGEST = 48  # characters of a name


@dataclass(frozen=True)
class Subject:
    """A search, its model, its score and the cluster that it runs on.

    Attributes
    ----------
    kind : str
        The class of search.
    model : str
        What it fits; empty when that is not known.
    score : str
        What it is scored by, and compared by where there are several.
    cluster : str
        Where it runs; empty where that is no cluster, or not known.
    """

    kind: str = "Search"
    model: str = ""
    score: str = "score"
    cluster: str = ""

    @property
    def about(self) -> str:
        """What it is of, and where it runs: ``of SVC on mycluster``."""
        parts = (("of", self.model), ("on", self.cluster))
        return " ".join(f"{word} {name}" for word, name in parts if name)

    @property
    def title(self) -> str:
        """All of it: ``GridSearch of SVC on mycluster, scored by accuracy``."""
        known = f"{self.kind} {self.about}".rstrip()
        return f"{known}, scored by {self.score}" if self.model else known


UNNAMED = Subject()


def name_of_model(model: Any) -> str:
    """Return a model's class; of a pipeline, the classes of its steps.

    Examples
    --------
    >>> name_of_model(make_pipeline(StandardScaler(), SVC()))
    'Pipeline(StandardScaler, SVC)'
    """
    name = type(model).__name__
    steps = getattr(model, "steps", None)
    if isinstance(steps, list):
        inner = ", ".join(one if isinstance(one, str) else type(one).__name__ for _, one in steps)
        name = f"{name}({inner})"
    return in_words(name, _LONGEST)


def name_of_score(scoring: Any, model: Any, several: Sequence[str] = (), refit: Any = None) -> str:
    """Return what a search is scored by, as scikit-learn calls it where it has a name.

    Parameters
    ----------
    scoring
        As it was given to the search; None for the model's own score.
    several : sequence of str
        The names of the scores, where there are several.
    refit
        Which of several counts, if that is said; else it is the first.
    """
    if several:
        return refit if isinstance(refit, str) else several[0]
    if scoring is not None:
        return in_words(scoring, _LONGEST)
    steps = getattr(model, "steps", None)
    if isinstance(steps, list) and steps:  # a pipeline scores by its last step
        model = steps[-1][1]
    own = getattr(type(model), "score", None)
    if own is ClassifierMixin.score:
        return "accuracy"
    return "r2" if own is RegressorMixin.score else "score"
