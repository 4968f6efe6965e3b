"""What a search has found so far: ranking, scikit-learn's table, and the report as text."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Self

import numpy as np

from spotcluster.search.data.candidates import Candidate, plain
from spotcluster.search.data.evaluations import Evaluation, Key
from spotcluster.search.results.finished import Finished


class Best(tuple[float, dict[str, Any]]):
    """A candidate in the ranking: the pair ``(mean validation score, params)``, and more.

    Attributes
    ----------
    candidate : int
        Its number.
    params : dict
        As plain Python numbers, in the order of their names; of a learning curve, which has none,
        ``train_size``.
    validation, validation_error : float
        Mean validation score and its standard error (nan with one split).
    train, train_error : float
        The same of the training scores; nan where there are none.
    finished, splits : int
        How many of its splits are finished, and how many it has.
    """

    candidate: int
    params: dict[str, Any]
    validation: float
    validation_error: float
    train: float
    train_error: float
    finished: int
    splits: int

    def __new__(
        cls, candidate: int, params: dict[str, Any], done: Sequence[Evaluation], splits: int
    ) -> Self:
        mean, error = _mean_and_error([evaluation.test_score for evaluation in done])
        self = super().__new__(cls, (mean, plain(dict(sorted(params.items())))))
        self.candidate = candidate
        self.params = self[1]
        self.validation, self.validation_error = mean, error
        train = [item.train_score for item in done if item.train_score is not None]
        self.train, self.train_error = _mean_and_error(train)
        self.finished = len(done)
        self.splits = splits
        return self


class Results:
    """The evaluations that a search has finished.

    Parameters
    ----------
    candidates : sequence of Candidate
    n_splits : int
    metrics : sequence of str
        The names of several scores, where they are known before there are any.
    trained : bool, optional
        Whether there are training scores; by default, when an evaluation has one.
    error_score : float
        The score of an evaluation that fails.

    Attributes
    ----------
    finished : Finished
    infeasible : set of int
        The candidates that must not be the best, with any score.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        n_splits: int,
        metrics: Sequence[str] = (),
        *,
        trained: bool | None = None,
        error_score: float = math.nan,
    ) -> None:
        self.candidates = list(candidates)
        self.n_splits = n_splits
        self._metrics = list(metrics)
        self._trained = trained
        self._error_score = error_score
        self.finished = Finished()
        self.infeasible: set[int] = set()

    def __len__(self) -> int:
        return len(self.finished)

    def extend(self, candidates: Iterable[Candidate]) -> list[Key]:
        """Take more candidates; return the keys of their evaluations."""
        first = len(self.candidates)
        self.candidates.extend(candidates)
        return [
            (candidate, split)
            for candidate in range(first, len(self.candidates))
            for split in range(self.n_splits)
        ]

    @property
    def total(self) -> int:
        """How many evaluations the whole search has."""
        return len(self.candidates) * self.n_splits

    @property
    def evaluations(self) -> list[Evaluation]:
        """The finished evaluations, in the order in which they were finished."""
        return self.finished.since(0)

    def unfinished(self) -> list[Key]:
        """Return what is left to do, in the order in which it is sent."""
        candidates, splits = np.nonzero(self._places() < 0)
        return list(zip(candidates.tolist(), splits.tolist(), strict=True))

    def complete(self) -> list[int]:
        """Return the candidates of which all splits are finished."""
        found: list[int] = np.flatnonzero((self._places() >= 0).all(axis=1)).tolist()
        return found

    def took(self) -> tuple[Any, Any]:
        """Return what evaluations took, of which that is known: their candidates, and seconds."""
        seconds = self.finished.column("ended") - self.finished.column("started")
        return self.finished.column("candidate")[seconds > 0], seconds[seconds > 0]

    def add(self, *evaluations: Evaluation) -> int:
        """Take finished evaluations; return how many are the first of their keys."""
        return self.finished.add(*evaluations)

    def _places(self) -> Any:
        return self.finished.places(len(self.candidates), self.n_splits)

    def ranking(self) -> list[Best]:
        """Return the candidates with at least one finished split, the best first."""
        return [self._best(candidate) for candidate in self.order().tolist()]

    def bests(self, n_top: int) -> list[Best]:
        """Return the first of `ranking`; none when there is nothing but failures so far."""
        if self.all_failed():
            return []
        return [self._best(candidate) for candidate in self.order()[:n_top].tolist()]

    def _best(self, candidate: int) -> Best:
        shown = self.candidates[candidate].shown
        return Best(candidate, shown, self.of(candidate), self.n_splits)

    def order(self) -> Any:
        """Return the numbers of the candidates of `ranking`, which may be very many."""
        places = self._places()
        finished = (places >= 0).any(axis=1)
        means, _ = self._over(places, "test_score")
        missing = np.isnan(means)
        infeasible = np.isin(np.arange(len(places)), list(self.infeasible))
        # A later round has more resources: its scores say more, and scikit-learn's best is there.
        rounds = np.array([int(candidate.more.get("iter", 0)) for candidate in self.candidates])
        orders = np.array([candidate.order for candidate in self.candidates])
        keys = (orders, np.where(missing, 0.0, -means), missing, -rounds, infeasible)  # last first
        ordered = np.lexsort(keys)
        return ordered[finished[ordered]]

    def figures(self) -> dict[str, Any]:
        """Return means and standard errors of the finished splits of each candidate, by names."""
        places, trained = self._places(), self.finished.column("trained")
        test, test_error = self._over(places, "test_score")
        train, train_error = self._over(places, "train_score", trained)
        failed = np.zeros(len(self), dtype=bool)
        failed[list(self.finished.seldom("error"))] = True
        return {
            "mean_test_score": test,
            "test_score_error": test_error,
            "mean_train_score": train,
            "train_score_error": train_error,
            "mean_fit_time": self._over(places, "fit_time")[0],
            "mean_score_time": self._over(places, "score_time")[0],
            "finished": (places >= 0).sum(axis=1),
            "splits": np.full(len(places), self.n_splits),
            "failed": _there(places, failed).sum(axis=1),
        }

    def _over(self, places: Any, name: str, only: Any = None) -> tuple[Any, Any]:
        """Return mean and standard error of a column for each candidate.

        They are over the finished splits, or those of which `only` is true; nan without any.
        """
        column = self.finished.column(name)
        there = places >= 0 if only is None else _there(places, only)
        counts = there.sum(axis=1)
        means, errors = np.full((2, len(places)), math.nan)
        with np.errstate(invalid="ignore"):  # of opposite infinities there is none
            for count in np.unique(counts[counts > 0]):
                mine = counts == count
                values = column[places[mine][there[mine]]].reshape(-1, count)
                means[mine] = values.mean(axis=1)
                if count > 1:
                    errors[mine] = values.std(axis=1, ddof=1) / math.sqrt(count)
        return means, errors

    def all_failed(self) -> bool:
        """Return whether there are evaluations, and no one has the score that candidates have."""
        if not 0 < len(self) == len(self.finished.seldom("error")):
            return False
        # Of several scores another one may be what failed.
        scores = self.finished.column("test_score")[list(self.finished.seldom("test_scores"))]
        return np.array_equal(scores, np.full_like(scores, self._error_score), equal_nan=True)

    def table(self) -> dict[str, Any]:
        """Return scikit-learn's ``cv_results_`` of the candidates whose splits are all finished."""
        places = self._places()
        complete = (places >= 0).all(axis=1)
        places = places[complete]
        whole = [self.candidates[row] for row in np.flatnonzero(complete).tolist()]
        results: dict[str, Any] = {
            name: np.asarray([candidate.more.get(name) for candidate in whole])
            for name in dict.fromkeys(name for candidate in whole for name in candidate.more)
        }

        def store(name: str, column: Any, *, splits: bool = False) -> None:
            array = column[places]
            if splits:
                for split in range(self.n_splits):
                    results[f"split{split}_{name}"] = array[:, split]
            means = array.mean(axis=1)
            results[f"mean_{name}"] = means
            results[f"std_{name}"] = np.sqrt(((array - means[:, np.newaxis]) ** 2).mean(axis=1))

        store("fit_time", self.finished.column("fit_time"))
        store("score_time", self.finished.column("score_time"))
        params = [candidate.params for candidate in whole]
        results.update(_parameter_columns(params))
        results["params"] = params
        trained = self._trained
        if trained is None:
            trained = self.finished.column("trained")[places].any()
        for metric in self.metrics() or ["score"]:
            name = f"test_{metric}"
            store(name, self._scores("test", metric), splits=True)
            results[f"rank_{name}"] = ranks(results[f"mean_{name}"])
            if trained:
                store(f"train_{metric}", self._scores("train", metric), splits=True)
        return results

    def _scores(self, kind: str, metric: str) -> Any:
        """Return one of several scores, or of one that failed what there is instead of all."""
        scores = self.finished.column(f"{kind}_score")
        for row, named in self.finished.seldom(f"{kind}_scores").items():
            scores[row] = named.get(metric, math.nan)  # left out: another one is no substitute
        return scores

    def metrics(self) -> list[str]:
        """Return the names of the scores, when there are several."""
        if not self._metrics:
            # A scorer that gives a dictionary says only then what is in it.
            first = min(self.finished.having("test_scores"), key=attrgetter("key"), default=None)
            self._metrics = list(first.test_scores) if first else []
        return self._metrics

    def of(self, candidate: int) -> list[Evaluation]:
        """Return the finished evaluations of a candidate, in the order of its splits."""
        return self.finished.of((candidate, split) for split in range(self.n_splits))


def report(results: Results, n_top: int = 5, remarks: Iterable[str] = ()) -> str:
    """Return progress and the best candidates as text, in the manner of the seed.

    Parameters
    ----------
    remarks : iterable of str
        Lines to put below.
    """
    done, total = len(results), results.total
    percent = 100 * done // total if total else 0
    lines = [f"Progress: {percent:02d}% ({done:03d}/{total:03d})", ""]
    for rank, best in enumerate(results.bests(n_top), start=1):
        text = f"Rank {rank}: validation: {_number(best.validation, best.validation_error)}"
        if not math.isnan(best.train):
            text += f" train: {_number(best.train, best.train_error)}"
        partly = (
            "" if best.finished == best.splits else f" ({best.finished} of {best.splits} splits)"
        )
        lines += [f"{text}:{partly}", f" {best.params}"]
    extra = [remark for remark in remarks if remark]
    if extra:
        lines += ["", *extra]
    return "\n".join(lines).rstrip("\n")


def _there(places: Any, marked: Any) -> Any:
    """Return which splits are finished and marked, by their rows."""
    return (places >= 0) & np.append(marked, False)[places].astype(bool)  # -1 is the last


def _number(mean: float, error: float) -> str:
    return f"{mean:.5f} (+/-{error:.5f})"


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    # numpy warns of one value's standard deviation; there is just none
    if not values:
        return math.nan, math.nan
    with np.errstate(invalid="ignore"):  # infinities have no spread
        mean = float(np.mean(values))
        if len(values) == 1:
            return mean, math.nan
        return mean, float(np.std(values, ddof=1) / math.sqrt(len(values)))


def ranks(means: Any) -> Any:
    """Rank as scikit-learn: 1 is the best, equals share the lower number, nan is the worst.

    -inf is better than nan; so is inf, which scikit-learn may rank below it.
    """
    known = ~np.isnan(means)
    ordered = np.sort(-means[known])
    ranked = np.full(means.shape, len(ordered) + 1, dtype=np.int32)
    ranked[known] = np.searchsorted(ordered, -means[known], side="left") + 1
    return ranked


def _parameter_columns(params: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a masked array for each parameter, masked where a candidate does not have it."""
    columns = {}
    for name in dict.fromkeys(name for setting in params for name in setting):
        mask = np.array([name not in setting for setting in params])
        values = [setting[name] for setting in params if name in setting]
        array = _array(values)
        column = np.zeros(len(params), dtype=array.dtype)
        column[~mask] = array
        columns[f"param_{name}"] = np.ma.MaskedArray(column, mask=mask)
    return columns


def _array(values: list[Any]) -> Any:
    # An array of arrays, of words or of things of different lengths holds them as objects.
    with contextlib.suppress(ValueError):
        array = np.array(values)
        if array.ndim == 1 and array.dtype.kind != "U":
            return array
    return np.fromiter(values, dtype=object, count=len(values))
