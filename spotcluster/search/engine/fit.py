"""Fits and scores one candidate on one split, on an engine, as scikit-learn's searches do.

It is sent to the engines with `here`, and like it imports nothing else of spotcluster.
"""

from __future__ import annotations

import contextlib
import copy
import numbers
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from .back import pickled
from .hooks import noted
from .part import part_of, takes_kernel
from .sklearn_private import scorers_of

LONGEST = 20_000  # characters of an error that are told
_PLAIN = (float, int, str, bool, type(None))  # values that are the same when they are cloned


def fit_and_score(
    split: Any,
    *,
    model: Any,
    params: dict[str, Any],
    scoring: Any = None,
    error_score: Any = float("nan"),
    return_train_score: bool = True,
    part: dict[str, Any] | None = None,
    fit_params: dict[str, Any] | None = None,
    score_params: dict[str, Any] | None = None,
    metric: str | None = None,
    config: dict[str, Any] | None = None,
    callbacks: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Do what scikit-learn's search does with one candidate and one split, in the same order.

    Parameters
    ----------
    split : tuple
        ``X_train``, ``y_train``, ``X_test``, ``y_test``, and if there are any a dictionary of what
        else has a value for each row: ``fit``, ``train`` and ``test``, dictionaries by the names of
        arguments of `fit` and of the scorer; and ``columns``, those of X that are its training part
        where X is a precomputed kernel for some candidates.
    scoring : str or callable, optional
        A callable may give a dictionary of scores.
    error_score : float or "raise"
    part : dict, optional
        What to take of the split, see `part.part_of`; or ``steps``, see `_fit_in_steps`.
    fit_params, score_params : dict, optional
        Other arguments of `fit` and of the scorer.
    metric : str, optional
        Which of several scores candidates are compared by; the first one by default.
    config : dict, optional
        scikit-learn's configuration.
    callbacks : dict, optional
        What is to be noted for scikit-learn's callbacks, see `hooks.noted`.

    Returns
    -------
    dict
        ``test``, ``train`` (scores, None where there is none), ``test_scores``, ``train_scores``
        (by their names, when there are several), ``fit_time``, ``score_time`` (seconds), ``error``
        (a traceback, empty when all went well), ``failed_in`` (what raised it: "fit", "score",
        "number" for a score that is none, "scorer" for one of several that gave none),
        ``exception`` (pickled, where it is to be raised again) and ``calls`` (pickled, of
        callbacks).
    """

    with _configured(config or {}):
        return _fit_and_score(
            split,
            part or {},
            (model, params, scoring),
            _own(fit_params),
            _own(score_params),
            _Scores(error_score, metric),
            callbacks,
            return_train_score=return_train_score,
        )


def _own(arguments: dict[str, Any] | None) -> dict[str, Any]:
    """Return arguments that an evaluation may write into, as into its data: nobody else sees it."""
    if not arguments:
        return {}
    with contextlib.suppress(Exception):  # of somebody else's code
        return copy.deepcopy(arguments)
    return arguments


class _Scores:
    """What becomes of scores, and of what there is instead of them."""

    def __init__(self, error_score: Any, metric: str | None) -> None:
        self.error_score = None if error_score == "raise" else error_score
        self.raises = error_score == "raise"
        self.metric = metric

    def failed(
        self, error: BaseException, where: str, fit_time: float = 0.0, *, keep: bool = False
    ) -> dict[str, Any]:
        result = failed(self.error_score, traceback.format_exc(), fit_time)
        result["failed_in"] = where
        if self.raises or keep:
            with contextlib.suppress(Exception):
                result["exception"] = pickled(error)
        return result

    def of(
        self, scorer: Any, estimator: Any, data: tuple[Any, ...], params: dict[str, Any], kind: str
    ) -> dict[str, Any]:
        """Return the score on test or training data by the name `kind`, and all when it has many.

        What the scorer raises, and a score that is not a number, is told in the result.
        """
        try:
            scores = scorer(estimator, *data, **params)
        except Exception as error:  # noqa: BLE001 - a scorer may raise anything
            # One of several scores catches what each raises; what it raises itself ends a search.
            several = scorers_of(scorer) is not None
            failed = self.failed(error, "scorer" if several else "score", keep=several)
            return {kind: self.error_score, **{key: failed[key] for key in failed if key in _ERROR}}
        result: dict[str, Any] = {}
        try:
            if not isinstance(scores, dict) or not scores:
                return {kind: _number(scores, scorer)}
            named = {}
            for name, score in scores.items():
                if isinstance(score, str) and scorers_of(scorer) is not None:  # its own traceback
                    result = {"error": result.get("error") or score, "failed_in": "score"}
                    named[name] = self.error_score
                else:
                    named[name] = _number(score, name)
        except (ValueError, TypeError, OverflowError) as error:
            failed = self.failed(error, "number", keep=True)
            return {kind: self.error_score, **{key: failed[key] for key in failed if key in _ERROR}}
        first = named.get(self.metric or "", next(iter(named.values()), self.error_score))
        return {**result, kind: first, f"{kind}_scores": named}


_ERROR = {"error", "failed_in", "exception"}


def _number(score: Any, scorer: Any) -> float:
    if hasattr(score, "item"):
        with contextlib.suppress(ValueError):
            score = score.item()
    if not isinstance(score, numbers.Number):
        raise ValueError(  # noqa: TRY004 - as in scikit-learn
            f"scoring must return a number, got {score} ({type(score)}) instead. (scorer={scorer})"
        )
    if isinstance(score, complex):
        from numpy.exceptions import ComplexWarning

        text = "Casting complex values to real discards the imaginary part"  # numpy's words
        warnings.warn(text, ComplexWarning, stacklevel=2)
        score = score.real
    return float(score)


def _fit_and_score(
    split: Any,
    part: dict[str, Any],
    what: tuple[Any, dict[str, Any], Any],
    fit_params: dict[str, Any],
    score_params: dict[str, Any],
    scores: _Scores,
    callbacks: dict[str, Any] | None,
    *,
    return_train_score: bool,
) -> dict[str, Any]:
    from sklearn.base import clone
    from sklearn.metrics import check_scoring

    model, params, scoring = what
    start = time.time()
    try:
        plain = all(type(value) in _PLAIN for value in params.values())
        estimator = clone(model).set_params(**(params if plain else clone(params, safe=False)))
        scorer = scoring if callable(scoring) else check_scoring(estimator, scoring)
        kernel = takes_kernel(estimator, split, part)
    except Exception as error:  # noqa: BLE001 - an estimator may raise anything
        return scores.failed(error, "fit", time.time() - start)
    if "steps" in part:
        how = (estimator, scorer, fit_params, score_params)
        return _fit_in_steps(split, part["steps"], how, scores, kernel=kernel)
    (X_train, y_train, fit_rows, train_rows), (X_test, y_test, test_rows) = part_of(
        split, kernel=kernel, **part
    )
    train = (X_train,) if y_train is None else (X_train, y_train)
    test = (X_test,) if y_test is None else (X_test, y_test)
    start = time.time()
    told: dict[str, Any] = {}
    try:
        with noted(estimator, callbacks, train, told):
            estimator.fit(*train, **fit_params, **fit_rows)
    except Exception as error:  # noqa: BLE001 - an estimator may raise anything
        return {**scores.failed(error, "fit", time.time() - start), **told}
    fit_time = time.time() - start
    result = scores.of(scorer, estimator, test, {**score_params, **test_rows}, "test")
    score_time = time.time() - start - fit_time
    of_train: dict[str, Any] = {"train": None}
    if return_train_score:
        of_train = scores.of(scorer, estimator, train, {**score_params, **train_rows}, "train")
    return {
        "fit_time": fit_time,
        "score_time": score_time,
        "error": "",
        **told,
        **of_train,
        **result,
    }


def _fit_in_steps(
    split: Any,
    sizes: Sequence[int],
    how: tuple[Any, Any, dict[str, Any], dict[str, Any]],
    scores: _Scores,
    *,
    kernel: bool,
) -> dict[str, Any]:
    """Fit a model on more and more rows with its `partial_fit`, and score it after each step.

    Returns
    -------
    dict
        As `fit_and_score`, with ``test_scores``, ``train_scores``, ``fit_times`` and
        ``score_times`` (seconds of each step) by the numbers of rows, as text.
    """
    estimator, scorer, fit_params, score_params = how
    found: dict[str, Any] = {"error": ""}
    kinds = ("test_scores", "train_scores", "fit_times", "score_times")
    by_size: dict[str, dict[str, float]] = {kind: {} for kind in kinds}
    done = 0
    for size in sizes:
        (X, y, fit_rows, _), _ = part_of(split, kernel=kernel, first=done, n_samples=size)
        (X_train, y_train, _, train_rows), (X_test, y_test, test_rows) = part_of(
            split, kernel=kernel, n_samples=size
        )
        start = time.time()
        try:
            estimator.partial_fit(*((X,) if y is None else (X, y)), **fit_params, **fit_rows)
        except Exception as error:  # noqa: BLE001 - an estimator may raise anything
            return scores.failed(error, "fit", time.time() - start, keep=True)
        fitted = time.time()
        for kind, data, rows in (
            ("test", (X_test,) if y_test is None else (X_test, y_test), test_rows),
            ("train", (X_train,) if y_train is None else (X_train, y_train), train_rows),
        ):
            result = scores.of(scorer, estimator, data, {**score_params, **rows}, kind)
            by_size[f"{kind}_scores"][str(size)] = result[kind]
            found.update({key: result[key] for key in (*_ERROR, kind) if key in result})
        by_size["fit_times"][str(size)] = fitted - start
        by_size["score_times"][str(size)] = time.time() - fitted
        done = size
    times = {kind: sum(by_size[f"{kind}s"].values()) for kind in ("fit_time", "score_time")}
    return {**found, **times, **by_size}


@contextlib.contextmanager
def _configured(config: dict[str, Any]) -> Iterator[None]:
    import sklearn

    before = sklearn.get_config()
    # The client's scikit-learn may know of more than ours.
    wanted = {**before, **{name: config[name] for name in config if name in before}}
    if wanted != before:
        with sklearn.config_context(**wanted):
            yield
        return
    try:  # which takes a third of the time
        yield
    finally:
        if sklearn.get_config() != before:
            sklearn.set_config(**before)


def _readable(text: str) -> str:
    """Return a text that can be printed anywhere, and is not longer than anyone would read."""
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} [...] {text[-LONGEST // 2 :]}"


def failed(error_score: Any, error: str, fit_time: float = 0.0) -> dict[str, Any]:
    score = None if error_score == "raise" else error_score
    return {
        "test": score,
        "train": score,
        "fit_time": fit_time,
        "score_time": 0.0,
        "error": _readable(error),
        "failed_in": "fit",
    }
