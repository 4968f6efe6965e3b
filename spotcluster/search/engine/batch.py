"""Runs the evaluations of a message on an engine, one after the other.

It is sent to the engines with `here`, and like it imports nothing else of spotcluster. What does
not change between evaluations is made once: a message brings the model and the settings once for
all its evaluations, they are unpickled once per search, and arrays that are mapped stay mapped.
"""

from __future__ import annotations

import contextlib
import copy
import faulthandler
import importlib
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from . import fit, herald, here, imports, mapping, peer, place, prune

PUBLISH = 0.5  # seconds between two times that finished evaluations are told of, if nobody says
KEPT = 32  # splits that stay mapped
GRACE = 10.0  # seconds after its time limit in which an evaluation may be interrupted
LONGEST = 2000  # characters of a warning that are told
LONGEST_WHY = 300  # characters of why an engine cannot begin
MOST = 20  # different warnings of an evaluation that are told
PYTHON = "Python"  # beside names of packages: code that comes by value is of one version of it
OFTEN = 0.02  # seconds between two looks at whether it is draining, or evaluations take longer
AGAIN = 1.0  # seconds after which it is interrupted again, should it go on


class _Kept(threading.local):
    """What is made once: for each thread, as evaluations may write into it."""

    def __init__(self) -> None:
        self.commons: OrderedDict[bytes, tuple[dict[str, Any], dict[str, Any]]] = OrderedDict()
        self.splits: OrderedDict[tuple[str, int, int], mapping.Mapping] = OrderedDict()


_kept = _Kept()


class TimeLimit(BaseException):
    """An evaluation has reached its time limit; no estimator takes it for an error of its own."""


def perform(
    bundle: str,
    common: bytes,
    items: bytes,
    budget: float,
    timeout: float | None = None,
    publish: float | None = None,
) -> tuple[dict[str, Any], bytes]:
    """Do evaluations, until all are done or `budget` is used up.

    Parameters
    ----------
    bundle : str
        The bundle of their split files.
    common : bytes
        Pickled dictionary: what `fit.fit_and_score` is given each time, and ``pace``.
    items : bytes
        Pickled list of pairs: a split file's digest, and a dictionary of what is given this time.
        Beside either are modules that code in it imports, see `search.parcels`.
    budget : float
        Seconds after which none is begun any more; the first one always is.
    timeout : float, optional
        Seconds that each may take.
    publish : float, optional
        Seconds of work after which finished evaluations are told of before the others are.

    Returns
    -------
    dict
        Who did it, see `engine.identity`.
    bytes
        Pickled list of the results, one for each evaluation that was done: what
        `fit.fit_and_score` gave, ``started`` and ``ended`` (seconds since 1970 by this
        host's clock) and ``took`` (seconds). They are published too, in parts, as they are there.

    Raises
    ------
    ipyparallel.UnmetDependency, place.Refused
        If this host is draining, does not have the files of the bundle, or cannot begin: what
        fails before an evaluation's own code runs is no failure of the evaluation's.
    """
    entries = _entries(bundle)
    prune.used(bundle)
    who = here.identity()
    here.publish(started={"who": who, "clock": time.perf_counter()})
    settings, batch, modules = _begun(bundle, common, items)
    results: list[dict[str, Any]] = []
    try:
        with (
            peer.working(bundle),
            herald.heralded(who),
            place.limited(),
            _own_process(modules, settings.get("filters", ())) as warned,
        ):
            for digest, item in _until(budget, publish or PUBLISH, batch, results):
                result = _evaluate(entries[digest], digest, {**settings, **item}, timeout)
                if warned:
                    result["warned"] = [[*what, count] for what, count in warned.items()]
                    warned.clear()
                results.append(result)
    except _Damaged:
        here.forget(bundle)
        if not results:
            here.refuse("files")
    except _Unusable as error:
        if not results:
            here.unable(bundle, str(error))
    if results:
        here.able(bundle)
    return who, pickle.dumps(results)


@contextlib.contextmanager
def _own_process(modules: dict[str, Any], filters: Iterable[Any]) -> Iterator[dict[Any, int]]:
    """Change for the body what a process has once; give counts of what is warned of.

    Where others run in this process too nothing is changed: what is warned of is told there.
    """
    if not place.is_apart():
        yield {}
        return
    with (
        _importable(modules),
        # One that closes the doors behind it: without them IPython gives no answer any more.
        contextlib.redirect_stdout(sys.stdout),
        contextlib.redirect_stderr(sys.stderr),
        _heard(filters) as warned,
    ):
        yield warned


def _entries(bundle: str) -> dict[str, Any]:
    if here.drain_flag().exists():
        here.refuse("draining")
    entries = here.entries_of(bundle)
    if entries is None:
        here.refuse("files")
    return entries


def _begun(
    bundle: str, common: bytes, items: bytes
) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    """Make everything ready that evaluations need."""
    try:
        imports.finish()
        settings, batch, modules = _unpacked(common, items)
        _compare(settings.get("versions", {}))
    except KeyboardInterrupt:  # of this engine, perhaps
        raise
    except BaseException as error:  # noqa: BLE001 - a module may do anything when it is imported
        importlib.invalidate_caches()  # it may be installed meanwhile
        here.unable(bundle, _said(error))
    return settings, batch, modules


def _until(
    budget: float, publish: float, batch: list[Any], results: list[dict[str, Any]]
) -> Iterator[Any]:
    """Yield what is to be done, and publish the results of what was."""
    begun = told = looked = time.monotonic()
    told_of = 0
    flag = str(here.drain_flag())
    for task in batch:
        now = time.monotonic()
        if results and now - begun > budget:
            return
        if now - looked > OFTEN:
            if os.path.exists(flag):  # noqa: PTH110 - quicker
                return
            looked = now
        if now - told > publish:
            here.publish(**{f"results {told_of}": pickle.dumps(results[told_of:])})
            told, told_of = now, len(results)
        yield task


class _Damaged(Exception):
    """A split file is not what it was."""


class _Unusable(Exception):
    """A split file is what it was, and cannot be loaded here."""


def _said(error: BaseException) -> str:
    """Return an error on one line, as the last one of its traceback."""
    text = traceback.format_exception_only(error)[-1].strip()
    return " ".join(text.split())[:LONGEST_WHY]


def _version(name: str) -> str | None:
    if name == PYTHON:
        return ".".join(map(str, sys.version_info[:2]))
    version: str | None = getattr(importlib.import_module(name), "__version__", None)
    return version


def _compare(versions: dict[str, str]) -> None:
    """Hold the packages that results depend on against the client's.

    Raises
    ------
    ImportError
        If one has another version here.
    """
    for name, wanted in versions.items():
        version = _version(name)
        if version is not None and version != wanted:
            raise ImportError(f"{name} is {version} there, and {wanted} where the search is")


def _unpacked(common: bytes, items: bytes) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    # From the client that this engine already obeys in everything, signed by its session key.
    name = sha256(common).digest()
    commons = _kept.commons
    known = commons.pop(name, None)
    if known is None:
        known = pickle.loads(common)  # noqa: S301
    commons[name] = known
    while len(commons) > 4:
        commons.popitem(last=False)
    settings, modules = known
    batch, more = pickle.loads(items)  # noqa: S301
    return settings, batch, {**more, **modules}


@contextlib.contextmanager
def _importable(modules: dict[str, Any]) -> Iterator[None]:
    """Have modules of the user's found by the import statements of the body."""
    before = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def _evaluate(
    entry: dict[str, Any], digest: str, task: dict[str, Any], timeout: float | None
) -> dict[str, Any]:
    started, clock = time.time(), time.perf_counter()
    try:
        split = _split(entry)
    except Exception as error:
        if not here.is_verified(entry, digest):
            raise _Damaged from error
        raise _Unusable(f"{_said(error)}, from the split file {entry['path']}") from error
    pace = task.pop("pace", 0.0)
    for name in ("filters", "versions"):
        task.pop(name, None)
    for name in ("fit_params", "score_params"):  # of which the next evaluation is given the same
        if task.get(name):
            task[name] = copy.deepcopy(task[name])
    result: dict[str, Any]
    try:
        with time_limit(timeout):
            result = fit.fit_and_score(split, **task)
            _wait(pace - (time.perf_counter() - clock))
    except TimeLimit:
        where = "".join(traceback.format_exc().splitlines(keepends=True)[-9:-1])
        text = f"{where}TimeoutError: It took longer than timeout={timeout:g} s and was stopped."
        result = fit.failed(task.get("error_score"), text, time.perf_counter() - clock)
    except KeyboardInterrupt:  # of this engine, perhaps
        raise
    except BaseException as error:  # sys.exit() too is an error of the evaluation's
        if not here.is_verified(entry, digest):
            raise _Damaged from error
        result = fit.failed(task.get("error_score"), traceback.format_exc())
    took = time.perf_counter() - clock
    return {"started": started, "ended": time.time(), "took": took, **result}


def _wait(seconds: float) -> None:
    """Wait, and not at all where nothing is left: to sleep for 0 s gives the core to others."""
    if seconds > 0:
        time.sleep(seconds)


# --- warnings -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _heard(filters: Iterable[Any]) -> Iterator[dict[Any, int]]:
    """Count what is warned of in the body: by the names of the warning's classes, and the text.

    `filters` are the client's. What they make an error or ignore is that here too, as on the
    workers of scikit-learn's own searches; anything else is counted each time.
    """
    counts: dict[Any, int] = {}

    def count(message: Any, category: Any, *_: Any, **__: Any) -> None:
        classes = [kind for kind in category.__mro__ if issubclass(kind, Warning)]
        names = tuple((kind.__module__, kind.__qualname__) for kind in classes)
        what = (names, str(message)[:LONGEST])
        if what not in counts and len(counts) >= MOST:
            what = (names, "and more")
        counts[what] = counts.get(what, 0) + 1

    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("always")
        for action, message, (module, name), within, line in reversed(list(filters)):
            # A class of a package that is not used here is none that anything here warns of.
            if module.split(".")[0] not in sys.modules:
                continue
            with contextlib.suppress(Exception):
                category = getattr(importlib.import_module(module), name)
                kept: Any = action if action in ("error", "ignore") else "always"
                warnings.filterwarnings(kept, message or "", category, within or "", line)
        warnings.showwarning = count
        yield counts


# --- splits ---------------------------------------------------------------------------------------


def _split(entry: dict[str, Any]) -> tuple[Any, ...]:
    """Return the parts of a split, of which nothing that an estimator does to them is kept."""
    name = (entry["path"], entry["size"], entry["mtime"])
    splits = _kept.splits
    mapped = splits.pop(name, None)
    if mapped is None:
        split = here.load(entry["path"])
        if not mapping.is_mapped(split):  # it is loaded anew for each evaluation
            return tuple(mapping.plain(split))
        mapped = mapping.Mapping(entry["path"], split)
    splits[name] = mapped
    while len(splits) > KEPT:
        splits.popitem(last=False)
    return tuple(mapped.split())


# --- time limits ----------------------------------------------------------------------------------


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `TimeLimit` in the body after some seconds.

    Compiled code that does not return to the interpreter cannot be interrupted. When it has not
    returned `GRACE` seconds later, this process ends: the other engines of the host go on.
    """
    if seconds is None:
        yield
        return
    armed = threading.current_thread() is threading.main_thread()
    old: Any = None

    def interrupt(*_: Any) -> None:
        if armed:
            raise TimeLimit

    log = _log()
    # This thread of faulthandler's needs no interpreter lock, which such code may well hold.
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=log)
    if armed:
        old = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    set_back = armed
    try:
        try:
            yield
        finally:
            armed = False
    finally:
        if set_back:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        faulthandler.cancel_dump_traceback_later()
        log.close()


def _log() -> Any:
    """Return a file for the traceback of what had to be ended: this engine's own log."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.fdopen(os.dup(sys.__stderr__.fileno()), "wb")  # type: ignore[union-attr]
    return Path(os.devnull).open("wb")
