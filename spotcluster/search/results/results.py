"""What a search has found so far: ranking, scikit-learn's table, and the report as text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np

from spotcluster.search.data.candidates import Candidate, plain
from spotcluster.search.data.evaluations import Evaluation, Key


class Best(tuple[float, dict[str, Any]]):
    """A candidate in the ranking: the pair ``(mean validation score, params)``, and more.

    Attributes
    ----------
    candidate : int
        Its number.
    params : dict
        As plain Python numbers, in the order of their names.
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
        self._by_key: dict[Key, Evaluation] = {}
        self.infeasible: set[int] = set()  # candidates that must not be the best, with any score

    def __len__(self) -> int:
        return len(self._by_key)

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
        return list(self._by_key.values())

    def unfinished(self) -> list[Key]:
        """Return what is left to do, in the order in which it is sent."""
        return [
            (candidate, split)
            for candidate in range(len(self.candidates))
            for split in range(self.n_splits)
            if (candidate, split) not in self._by_key
        ]

    def add(self, evaluation: Evaluation) -> bool:
        """Take a finished evaluation; return whether it is the first of its key."""
        return self._by_key.setdefault(evaluation.key, evaluation) is evaluation

    def take(self, finished: dict[Key, Evaluation]) -> None:
        """Begin with what is finished; the dictionary is ours from now on, for its size."""
        self._by_key = finished

    def ranking(self) -> list[Best]:
        """Return the candidates with at least one finished split, the best first."""
        return [self._best(candidate) for candidate in self._ordered()]

    def bests(self, n_top: int) -> list[Best]:
        """Return the first of `ranking`; none when there is nothing but failures so far."""
        if self.all_failed():
            return []
        return [self._best(candidate) for candidate in self._ordered()[:n_top]]

    def _best(self, candidate: int) -> Best:
        params = self.candidates[candidate].params
        return Best(candidate, params, self.of(candidate), self.n_splits)

    def _ordered(self) -> list[int]:
        """Return the numbers of the candidates of `ranking`, which may be very many."""
        scores: dict[int, list[list[float]]] = {}  # of those with so many finished splits
        numbers: dict[int, list[int]] = {}
        for candidate in range(len(self.candidates)):
            if done := self.of(candidate):
                scores.setdefault(len(done), []).append([item.test_score for item in done])
                numbers.setdefault(len(done), []).append(candidate)
        means: dict[int, float] = {}
        with np.errstate(invalid="ignore"):  # of opposite infinities there is none
            for count, some in scores.items():
                means.update(zip(numbers[count], np.mean(some, axis=1).tolist(), strict=True))
        return sorted(means, key=lambda one: self._rank(one, means[one]))

    def all_failed(self) -> bool:
        """Return whether there are evaluations, and no one has the score that candidates have."""
        return bool(self._by_key) and all(map(self._failed, self._by_key.values()))

    def _failed(self, item: Evaluation) -> bool:
        if not item.error or not item.test_scores:
            return bool(item.error)
        # Of several scores another one may be what failed.
        score = item.test_score
        return score == self._error_score or (math.isnan(score) and math.isnan(self._error_score))

    def per_node(self) -> dict[str, int]:
        """Return how many evaluations each host did."""
        return dict(sorted(Counter(item.node for item in self.evaluations if item.node).items()))

    def table(self) -> dict[str, Any]:
        """Return scikit-learn's ``cv_results_`` of the candidates whose splits are all finished."""
        complete = [
            (candidate, done)
            for index, candidate in enumerate(self.candidates)
            if len(done := self.of(index)) == self.n_splits
        ]
        whole = [(candidate.params, done) for candidate, done in complete]
        results: dict[str, Any] = {
            name: np.asarray([candidate.more.get(name) for candidate, _ in complete])
            for name in dict.fromkeys(name for candidate, _ in complete for name in candidate.more)
        }
        shape = (len(whole), self.n_splits)

        def store(name: str, values: list[list[float]], *, splits: bool = False) -> None:
            array = np.array(values, dtype=np.float64).reshape(shape)
            if splits:
                for split in range(self.n_splits):
                    results[f"split{split}_{name}"] = array[:, split]
            means = array.mean(axis=1)
            results[f"mean_{name}"] = means
            results[f"std_{name}"] = np.sqrt(((array - means[:, np.newaxis]) ** 2).mean(axis=1))

        store("fit_time", [[item.fit_time for item in done] for _, done in whole])
        store("score_time", [[item.score_time for item in done] for _, done in whole])
        results.update(_parameter_columns([params for params, _ in whole]))
        results["params"] = [params for params, _ in whole]
        trained = self._trained
        if trained is None:
            trained = any(item.train_score is not None for _, done in whole for item in done)
        for metric in self.metrics() or ["score"]:
            name = f"test_{metric}"
            store(
                name,
                [
                    [_score(item.test_scores, metric, item.test_score) for item in done]
                    for _, done in whole
                ],
                splits=True,
            )
            results[f"rank_{name}"] = ranks(results[f"mean_{name}"])
            if trained:
                train = [
                    [_score(item.train_scores, metric, item.train_score) for item in done]
                    for _, done in whole
                ]
                store(f"train_{metric}", train, splits=True)
        return results

    def metrics(self) -> list[str]:
        """Return the names of the scores, when there are several."""
        if not self._metrics:
            # A scorer that gives a dictionary says only then what is in it.
            known = sorted(item.key for item in self._by_key.values() if item.test_scores)
            self._metrics = list(self._by_key[known[0]].test_scores) if known else []
        return self._metrics

    def of(self, candidate: int) -> list[Evaluation]:
        """Return the finished evaluations of a candidate, in the order of its splits."""
        return [
            self._by_key[candidate, split]
            for split in range(self.n_splits)
            if (candidate, split) in self._by_key
        ]

    def _rank(self, number: int, mean: float) -> tuple[bool, int, bool, float, int]:
        candidate = self.candidates[number]
        # A later round has more resources: its scores say more, and scikit-learn's best is there.
        round_ = -int(candidate.more.get("iter", 0))
        missing = math.isnan(mean)
        score = 0.0 if missing else -mean
        return (number in self.infeasible, round_, missing, score, candidate.order)


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


def _score(scores: dict[str, float], metric: str, score: float | None) -> float:
    """Return one of several scores; of an evaluation that failed, what there is instead of all."""
    if scores:  # a scorer may leave one out: another one is no substitute
        return scores.get(metric, math.nan)
    return math.nan if score is None else score


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
    given: dict[str, dict[int, Any]] = {}
    for row, setting in enumerate(params):
        for name, value in setting.items():
            given.setdefault(f"param_{name}", {})[row] = value
    columns = {}
    for name, values in given.items():
        column = np.zeros(len(params), dtype=_column_type(list(values.values())))
        for row, value in values.items():  # a list among the values would be taken for a column
            column[row] = value
        mask = np.ones(len(params), dtype=bool)
        mask[list(values)] = False
        columns[name] = np.ma.MaskedArray(column, mask=mask)
    return columns


def _column_type(values: list[Any]) -> Any:
    # An array of arrays, of words or of things of different lengths holds them as objects.
    try:
        array = np.array(values)
    except ValueError:
        return np.dtype(object)
    return array.dtype if array.ndim == 1 and array.dtype.kind != "U" else np.dtype(object)
