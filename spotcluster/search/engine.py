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

import contextlib
import hashlib
import json
import os
import pickle
import socket
import time
import traceback
import warnings
from collections.abc import Iterable
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


def _publish(**note: Any) -> None:
    # A hint for the client, over a channel that may lose it: nothing may depend on its arrival.
    publisher = getattr(_shell(), "data_pub", None)
    if publisher is not None:
        with contextlib.suppress(Exception):
            publisher.publish_data(note)


def _refuse(reason: str) -> NoReturn:
    """Send the call to another engine."""
    from ipyparallel.error import UnmetDependency

    who = identity()
    _publish(**{f"refused {who['uuid']}": {**who, "reason": reason}})
    raise UnmetDependency(f"{who['node']}: {reason}")


# --- split files ----------------------------------------------------------------------------------


def probe(bundle: str) -> dict[str, Any]:
    """Return who this engine is, and whether its host has the files of `bundle` or is leaving."""
    ready, draining = _entries(bundle) is not None, drain_flag().exists()
    return {**identity(), "ready": ready, "draining": draining}


def locate(bundle: str, files: list[dict[str, Any]]) -> list[str]:
    """Verify the files of a bundle on this host; return the digests of those it lacks.

    When none is lacking the bundle's marker is written. A file is taken from where the client has
    it, if this host sees the same content there, and else from the host's store.
    """
    entries: dict[str, Any] = {}
    missing: list[str] = []
    for file in files:
        for path in (file["path"], _stored(file["digest"])):
            entry = _verified(path, file["size"], file["digest"])
            if entry is not None:
                entries[file["digest"]] = entry
                break
        else:
            missing.append(file["digest"])
    if missing:
        _forget(bundle)
    else:
        _write_aside(_marker(bundle), json.dumps(entries).encode())
        _bundles[bundle] = entries
    return missing


def receive(digest: str, upload: str, offset: int, chunk: bytes) -> int:
    """Write one piece of a split file beside its place; return how many bytes were written."""
    path = _partial(digest, upload)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.seek(offset)
        file.write(chunk)
    return len(chunk)


def complete(digest: str, upload: str, size: int) -> None:
    """Put a split file that has come whole into its place.

    Raises
    ------
    ValueError
        If what came is not what was sent; nothing is left of it then.
    """
    path = _partial(digest, upload)
    try:
        # The digest speaks of the content and not of who is asking: another search may have
        # brought the same file in the meantime, and engines may have it mapped already.
        if _verified(_stored(digest), size, digest) is None:
            if _verified(str(path), size, digest) is None:
                found = path.stat().st_size if path.exists() else 0
                raise ValueError(f"{found} of {size} bytes came, or other ones than were sent")
            path.replace(_stored(digest))
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def discard(upload: str) -> None:
    """Remove what is left of an upload that was given up."""
    for path in store_dir().glob(f".*.{upload}.part"):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _stored(digest: str) -> str:
    return str(store_dir() / f"{digest}.pkl")


def _partial(digest: str, upload: str) -> Path:
    return store_dir() / f".{digest}.{upload}.part"


def _marker(bundle: str) -> Path:
    return store_dir() / f"{bundle}.json"


def _write_aside(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    aside.replace(path)


def _verified(path: str, size: int, digest: str) -> dict[str, Any] | None:
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


def _entries(bundle: str) -> dict[str, Any] | None:
    """Return where the files of a bundle are, or None when one is missing or has changed."""
    entries = _bundles.get(bundle)
    try:
        if entries is None:
            entries = dict(json.loads(_marker(bundle).read_bytes()))
        intact = all(_intact(entry) for entry in entries.values())
    except (OSError, ValueError):
        intact = False
    if entries is None or not intact:
        _forget(bundle)
        return None
    _bundles[bundle] = entries
    return entries


def _intact(entry: dict[str, Any]) -> bool:
    now = os.stat(entry["path"])  # noqa: PTH116 - a path as the client wrote it
    return (now.st_size, now.st_mtime_ns) == (entry["size"], entry["mtime"])


def _forget(bundle: str) -> None:
    _bundles.pop(bundle, None)
    with contextlib.suppress(OSError):
        _marker(bundle).unlink()


# --- evaluations ----------------------------------------------------------------------------------


def evaluate(bundle: str, digest: str, work: bytes) -> dict[str, Any]:
    """Fit a model on a split's training part and score it on both parts.

    Parameters
    ----------
    bundle, digest : str
        The split file: its bundle and its content.
    work : bytes
        Pickled dictionary: the arguments of `fit_and_score` but for the split, and ``pace``
        (seconds that the evaluation lasts at least).

    Returns
    -------
    dict
        ``test``, ``train`` (scores, None where there is none), ``fit_time``, ``score_time``
        (seconds), ``error`` (a traceback, empty when all went well), ``started``, ``ended``
        (seconds since 1970 by this host's clock), and who did it (see `identity`).

    Raises
    ------
    ipyparallel.UnmetDependency
        If this host is draining, or does not have the files of the bundle.
    """
    if drain_flag().exists():
        _refuse("draining")
    entries = _entries(bundle)
    if entries is None or digest not in entries:
        _refuse("files")
    started = time.time()
    who = identity()
    _publish(started={**who, "at": started})
    task: dict[str, Any] = {}
    try:
        # From the client that this engine already obeys in everything, signed by its session key.
        task = pickle.loads(work)  # noqa: S301
        split = _load(entries[digest]["path"])
    except Exception:  # noqa: BLE001 - whatever it is, it is told
        if _verified(entries[digest]["path"], entries[digest]["size"], digest) is None:
            _forget(bundle)
            _refuse("files")
        result = _failed(task.get("error_score"), traceback.format_exc())
    else:
        result = fit_and_score(split, **{key: task[key] for key in task if key != "pace"})
    time.sleep(max(0.0, task.get("pace", 0.0) - (time.time() - started)))
    return {**who, "started": started, "ended": time.time(), **result}


def _load(path: str) -> Any:
    import joblib

    with warnings.catch_warnings():
        # joblib says that arrays of objects, which a split may hold, cannot be mapped
        warnings.simplefilter("ignore")
        return joblib.load(path, mmap_mode="r")


def _part_of(
    split: Any,
    train_fraction: float | None = None,
    n_samples: int | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
) -> Any:
    """Return a part of a split; a slice is a view of the mapped arrays, and copies nothing."""
    X_train, y_train, X_test, y_test = split  # noqa: N806 - scikit-learn's names

    def taken(count: int | None, fraction: float | None, *arrays: Any) -> Iterable[Any]:
        from sklearn.utils import _safe_indexing, resample

        if count is None and fraction is None:
            return arrays
        rows = _length(arrays[0])
        count = int((fraction or 0.0) * rows) if count is None else count
        wanted: Any = slice(0, count)
        if seed is not None:
            wanted = resample(range(rows), replace=False, random_state=seed, n_samples=count)
        return [None if array is None else _safe_indexing(array, wanted) for array in arrays]

    return (
        *taken(n_samples, train_fraction, X_train, y_train),
        *taken(None, test_fraction, X_test, y_test),
    )


def _length(data: Any) -> int:
    return int(data.shape[0]) if hasattr(data, "shape") else len(data)


def _failed(error_score: float | None, error: str, fit_time: float = 0.0) -> dict[str, Any]:
    return {
        "test": error_score,
        "train": error_score,
        "fit_time": fit_time,
        "score_time": 0.0,
        "error": error,
    }


def fit_and_score(
    split: Any,
    *,
    model: Any,
    params: dict[str, Any],
    scoring: Any = None,
    error_score: float = float("nan"),
    return_train_score: bool = True,
    part: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Do what scikit-learn's search does with one candidate and one split, in the same order."""
    from sklearn.base import clone
    from sklearn.metrics import check_scoring

    start = time.time()
    try:
        X_train, y_train, X_test, y_test = _part_of(split, **(part or {}))  # noqa: N806
        estimator = clone(model).set_params(**clone(params, safe=False))
        scorer = check_scoring(estimator, scoring)
        start = time.time()
        estimator.fit(X_train, y_train) if y_train is not None else estimator.fit(X_train)
    except Exception:  # noqa: BLE001 - an estimator may raise anything
        return _failed(error_score, traceback.format_exc(), time.time() - start)
    fit_time = time.time() - start
    test, error = _score(scorer, estimator, X_test, y_test, error_score)
    score_time = time.time() - start - fit_time
    train = None
    if return_train_score:
        train, train_error = _score(scorer, estimator, X_train, y_train, error_score)
        error = error or train_error
    return {
        "test": test,
        "train": train,
        "fit_time": fit_time,
        "score_time": score_time,
        "error": error,
    }


def _score(scorer: Any, estimator: Any, X: Any, y: Any, error_score: float) -> tuple[float, str]:  # noqa: N803
    try:
        score = scorer(estimator, X, y) if y is not None else scorer(estimator, X)
        return float(score), ""
    except Exception:  # noqa: BLE001 - a scorer may raise anything
        return error_score, traceback.format_exc()


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
