"""Everything of ours that runs on an engine.

Engines do not have spotcluster installed, only ipyparallel, numpy, scikit-learn, joblib and psutil.
The text of this module travels with each call (see `shipping`), so it imports nothing of
spotcluster and gives plain Python objects back.

A *bundle* is the set of split files of one search. A host is ready for a bundle when its store has
the bundle's marker: a small JSON file that says, for each digest, which file holds it and what that
file looked like (size, time of last change) when its digest was verified. An evaluation compares
only size and time, so a file is read for its digest once per host and not once per engine.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import json
import numbers
import os
import pickle
import socket
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

_DIGEST_BLOCK = 1 << 20
_bundles: dict[str, dict[str, Any]] = {}  # what this process has read of the markers


# --- who and where --------------------------------------------------------------------------------


def node_name() -> str:
    """Return the name of this host; hosts of the local cloud share their machine's host name."""
    return os.environ.get("SPOTCLUSTER_NODE") or socket.gethostname()


def store_dir() -> Path:
    """Return the folder of this host's split files."""
    home = os.environ.get("SPOTCLUSTER_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".spotcluster") / "splits"


def drain_flag() -> Path:
    """Return the file whose existence says that this host is about to leave."""
    path = os.environ.get("SPOTCLUSTER_DRAIN_FLAG")
    return Path(path).expanduser() if path else Path.home() / ".spotcluster" / "drain"


def identity() -> dict[str, Any]:
    """Return which engine this is: its host, process, and id and uuid in ipyparallel."""
    who: dict[str, Any] = {"node": node_name(), "pid": os.getpid(), "engine": None, "uuid": None}
    kernel = getattr(_shell(), "kernel", None)
    if kernel is not None:
        who["engine"] = int(getattr(kernel, "engine_id", -1))
        who["uuid"] = str(getattr(kernel, "ident", ""))
    return who


def _shell() -> Any:
    from IPython import get_ipython

    return get_ipython()


def publish(**note: Any) -> None:
    """Give the client a hint. The channel may lose it: nothing may depend on its arrival."""
    publisher = getattr(_shell(), "data_pub", None)
    if publisher is not None:
        with contextlib.suppress(Exception):
            publisher.publish_data(note)


def refuse(reason: str) -> NoReturn:
    """Send the call to another engine."""
    from ipyparallel.error import UnmetDependency

    who = identity()
    publish(**{f"refused {who['uuid']}": {**who, "reason": reason}})
    raise UnmetDependency(f"{who['node']}: {reason}")


# --- split files ----------------------------------------------------------------------------------


def probe(bundle: str) -> dict[str, Any]:
    """Return who this engine is, and whether its host has the files of `bundle` or is leaving."""
    ready, draining = entries_of(bundle) is not None, drain_flag().exists()
    return {**identity(), "ready": ready, "draining": draining}


def locate(bundle: str, files: list[dict[str, Any]]) -> list[str]:
    """Verify the files of a bundle on this host; return the digests of those it lacks.

    When none is lacking the bundle's marker is written. A file is taken from where the client has
    it, if this host sees the same content there, and else from the host's store.
    """
    entries: dict[str, Any] = {}
    missing: list[str] = []
    for file in files:
        for path in (file["path"], stored(file["digest"])):
            entry = verified(path, file["size"], file["digest"])
            if entry is not None:
                entries[file["digest"]] = entry
                break
        else:
            missing.append(file["digest"])
    if missing:
        forget(bundle)
    else:
        _write_aside(_marker(bundle), json.dumps(entries).encode())
        _bundles[bundle] = entries
    return missing


def stored(digest: str) -> str:
    """Return where this host keeps the split file with this digest."""
    return str(store_dir() / f"{digest}.pkl")


def _marker(bundle: str) -> Path:
    return store_dir() / f"{bundle}.json"


def _write_aside(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    aside.replace(path)


def verified(path: str, size: int, digest: str) -> dict[str, Any] | None:
    """Read a file; return its entry for a marker, or None if it is not what it should be."""
    try:
        before = os.stat(path)  # noqa: PTH116 - a path as the client wrote it
        if before.st_size != size or file_digest(path) != digest:
            return None
    except OSError:
        return None
    return {"path": path, "size": size, "mtime": before.st_mtime_ns}


def file_digest(path: str) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_DIGEST_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def entries_of(bundle: str) -> dict[str, Any] | None:
    """Return where the files of a bundle are, or None when one is missing or has changed."""
    entries = _bundles.get(bundle)
    try:
        if entries is None:
            entries = dict(json.loads(_marker(bundle).read_bytes()))
        intact = all(_intact(entry) for entry in entries.values())
    except (OSError, ValueError):
        intact = False
    if entries is None or not intact:
        forget(bundle)
        return None
    _bundles[bundle] = entries
    return entries


def _intact(entry: dict[str, Any]) -> bool:
    now = os.stat(entry["path"])  # noqa: PTH116 - a path as the client wrote it
    return (now.st_size, now.st_mtime_ns) == (entry["size"], entry["mtime"])


def is_verified(entry: dict[str, Any], digest: str) -> bool:
    """Read a file of a bundle; return whether it is what it was."""
    return verified(entry["path"], entry["size"], digest) is not None


def forget(bundle: str) -> None:
    """Have the files of a bundle located anew, for one was found damaged."""
    _bundles.pop(bundle, None)
    with contextlib.suppress(OSError):
        _marker(bundle).unlink()


# --- evaluations ----------------------------------------------------------------------------------


def load(path: str) -> Any:
    """Map a split file into memory."""
    import joblib

    with warnings.catch_warnings():
        # joblib says that arrays of objects, which a split may hold, cannot be mapped
        warnings.simplefilter("ignore")
        return joblib.load(path, mmap_mode="r")


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
        What to take of the split, see `_part_of`; or ``steps``, see `_fit_in_steps`.
    fit_params, score_params : dict, optional
        Other arguments of `fit` and of the scorer.
    metric : str, optional
        Which of several scores candidates are compared by; the first one by default.
    config : dict, optional
        scikit-learn's configuration.

    Returns
    -------
    dict
        ``test``, ``train`` (scores, None where there is none), ``test_scores``, ``train_scores``
        (by their names, when there are several), ``fit_time``, ``score_time`` (seconds), ``error``
        (a traceback, empty when all went well), ``failed_in`` (what raised it: "fit", "score", or
        "number" for a score that is none) and ``exception`` (pickled, when `error_score` is
        "raise").
    """

    def once(split: Any) -> dict[str, Any]:
        with _configured(config or {}):
            return _fit_and_score(
                split,
                part or {},
                (model, params, scoring),
                fit_params or {},
                score_params or {},
                _Scores(error_score, metric),
                return_train_score=return_train_score,
            )

    result = once(split)
    if "read-only" in result["error"]:
        # An estimator that works in place, on arrays that all engines of the host have mapped.
        result = once(copy.deepcopy(split))
    return result


class _Scores:
    """What becomes of scores, and of what there is instead of them."""

    def __init__(self, error_score: Any, metric: str | None) -> None:
        self.error_score = None if error_score == "raise" else error_score
        self.raises = error_score == "raise"
        self.metric = metric

    def failed(
        self, error: BaseException, where: str, fit_time: float = 0.0, *, keep: bool = False
    ) -> dict[str, Any]:
        result = _failed(self.error_score, traceback.format_exc(), fit_time)
        result["failed_in"] = where
        if self.raises or keep:
            with contextlib.suppress(Exception):
                result["exception"] = pickle.dumps(error)
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
            failed = self.failed(error, "score")
            return {kind: self.error_score, **{key: failed[key] for key in failed if key in _ERROR}}
        result: dict[str, Any] = {}
        try:
            if not isinstance(scores, dict):
                return {kind: _number(scores, scorer)}
            named = {}
            for name, score in scores.items():
                if isinstance(score, str) and hasattr(scorer, "_scorers"):  # its own traceback
                    result = {"error": result.get("error") or score, "failed_in": "score"}
                    named[name] = self.error_score
                else:
                    named[name] = _number(score, name)
        except ValueError as error:
            failed = self.failed(error, "number")
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
    return float(score)  # type: ignore[arg-type] # not a complex one


def _fit_and_score(
    split: Any,
    part: dict[str, Any],
    what: tuple[Any, dict[str, Any], Any],
    fit_params: dict[str, Any],
    score_params: dict[str, Any],
    scores: _Scores,
    *,
    return_train_score: bool,
) -> dict[str, Any]:
    from sklearn.base import clone
    from sklearn.metrics import check_scoring

    model, params, scoring = what
    start = time.time()
    try:
        estimator = clone(model).set_params(**clone(params, safe=False))
        scorer = scoring if callable(scoring) else check_scoring(estimator, scoring)
        kernel = _takes_kernel(estimator, split, part)
    except Exception as error:  # noqa: BLE001 - an estimator may raise anything
        return scores.failed(error, "fit", time.time() - start)
    if "steps" in part:
        how = (estimator, scorer, fit_params, score_params)
        return _fit_in_steps(split, part["steps"], how, scores, kernel=kernel)
    (X_train, y_train, fit_rows, train_rows), (X_test, y_test, test_rows) = _part_of(  # noqa: N806
        split, kernel=kernel, **part
    )
    train = (X_train,) if y_train is None else (X_train, y_train)
    test = (X_test,) if y_test is None else (X_test, y_test)
    start = time.time()
    try:
        estimator.fit(*train, **fit_params, **fit_rows)
    except Exception as error:  # noqa: BLE001 - an estimator may raise anything
        return scores.failed(error, "fit", time.time() - start)
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
        (X, y, fit_rows, _), _ = _part_of(split, kernel=kernel, first=done, n_samples=size)  # noqa: N806
        (X_train, y_train, _, train_rows), (X_test, y_test, test_rows) = _part_of(  # noqa: N806
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


def _takes_kernel(estimator: Any, split: Any, part: dict[str, Any]) -> bool:
    """Return whether columns have to be chosen too, for X is a precomputed kernel."""
    columns = len(split) > 4 and "columns" in split[4]
    if not part and not columns:
        return False
    from sklearn.utils import get_tags

    # A kernel that was cut by rows only, into files of the user's, says nothing of its columns.
    shape: Any = getattr(split[0], "shape", ())
    square = len(shape) == 2 and shape[0] == shape[1]
    return bool((columns or square) and get_tags(estimator).input_tags.pairwise)


def _part_of(
    split: Any,
    *,
    kernel: bool = False,
    first: int = 0,
    train_fraction: float | None = None,
    n_samples: int | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    state: str | None = None,
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return a part of a split; a slice is a view of the mapped arrays, and copies nothing.

    Parameters
    ----------
    kernel : bool
        Whether X is a precomputed kernel: its columns are rows of the training part.
    first, n_samples : int
        The rows of the training part that are taken: from `first` up to `n_samples`.
    train_fraction, test_fraction : float, optional
        How much to take instead of each part, rounded down.
    seed, state : int, str, optional
        Rows are drawn, each time with this seed, or by the generator in this state.

    Returns
    -------
    tuple
        ``X``, ``y`` and the arguments by rows of `fit` and of the scorer on training data.
    tuple
        ``X``, ``y`` and the arguments by rows of the scorer on test data.
    """
    X_train, y_train, X_test, y_test, *others = split  # noqa: N806 - scikit-learn's names
    rows = others[0] if others else {}
    random = seed if state is None else generator(state)

    def wanted(length: int, count: int | None, fraction: float | None) -> Any:
        from sklearn.utils import resample

        if count is None and fraction is None:
            return None
        count = int((fraction or 0.0) * length) if count is None else count
        if random is None:
            return slice(first, count)
        return resample(range(length), replace=False, random_state=random, n_samples=count)

    of_train = wanted(_length(X_train), n_samples, train_fraction)
    of_test = wanted(_length(X_test), None, test_fraction)
    columns = None
    if kernel:
        columns = _some(rows["columns"], of_train) if "columns" in rows else of_train
    fit, train, test = (rows.get(name, {}) for name in ("fit", "train", "test"))
    return (
        (_block(X_train, of_train, columns), *(_some(x, of_train) for x in (y_train, fit, train))),
        (_block(X_test, of_test, columns), *(_some(x, of_test) for x in (y_test, test))),
    )


def generator(state: str) -> Any:
    """Return numpy's generator in a state that `draws.snapshot` has written down."""
    import numpy as np

    position, key = state.split(":")
    random = np.random.RandomState()
    words = np.frombuffer(base64.b64decode(key), dtype="<u4").astype(np.uint32)
    random.set_state(("MT19937", words, int(position), 0, 0.0))
    return random


def _some(thing: Any, rows: Any) -> Any:
    """Return rows of something, or of all that is in a dictionary; everything if `rows` is None."""
    if thing is None or rows is None:
        return thing
    if isinstance(thing, dict):
        return {name: _some(value, rows) for name, value in thing.items()}
    from sklearn.utils import _safe_indexing

    return _safe_indexing(thing, rows)


def _block(X: Any, rows: Any, columns: Any) -> Any:  # noqa: N803 - scikit-learn's name
    """Return rows of X, and of these some columns, laid out as scikit-learn's."""
    if columns is None:
        return _some(X, rows)
    if isinstance(columns, slice) and (rows is None or isinstance(rows, slice)):
        return X[rows or slice(None), columns]
    import numpy as np

    numbers = [
        np.arange(length) if some is None else np.arange(length)[some]
        for length, some in zip(X.shape, (rows, columns), strict=True)
    ]
    return X[np.ix_(*numbers)]


def _length(data: Any) -> int:
    return int(data.shape[0]) if hasattr(data, "shape") else len(data)


@contextlib.contextmanager
def _configured(config: dict[str, Any]) -> Iterator[None]:
    import sklearn

    # The client's scikit-learn may know of more than ours.
    known = {name: config[name] for name in config if name in sklearn.get_config()}
    with sklearn.config_context(**known):
        yield


def _failed(error_score: Any, error: str, fit_time: float = 0.0) -> dict[str, Any]:
    score = None if error_score == "raise" else error_score
    return {
        "test": score,
        "train": score,
        "fit_time": fit_time,
        "score_time": 0.0,
        "error": error,
        "failed_in": "fit",
    }


# --- what a host is asked about itself ------------------------------------------------------------


def memory_mb() -> float:
    """Return the resident memory of this engine, in megabytes."""
    import psutil

    return float(psutil.Process().memory_info().rss / 1e6)


def free_memory_mb() -> float:
    """Return the free memory of this host, in megabytes (the page cache is not free)."""
    import psutil

    return float(psutil.virtual_memory().free / 1e6)


def warm(files: list[str]) -> list[str]:
    """Read files once, so that their pages are in memory; return those that are not here."""
    missing = []
    for name in files:
        try:
            with Path(name).open("rb") as file:
                while file.read(_DIGEST_BLOCK):
                    pass
        except OSError:
            missing.append(name)
    return missing
