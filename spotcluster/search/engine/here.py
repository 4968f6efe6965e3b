"""Everything of ours that runs on an engine.

Engines do not have spotcluster installed, only ipyparallel, numpy, scikit-learn, joblib and psutil.
The text of this module travels with each call (see `search.shipping`), so it imports nothing of
spotcluster and gives plain Python objects back.

A *bundle* is the set of split files of one search. A host is ready for a bundle when its store has
the bundle's marker: a small JSON file that says, for each digest, which file holds it and what that
file looked like (size, time of last change) when its digest was verified. An evaluation compares
only size and time, so a file is read for its digest once per host and not once per engine.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import socket
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from . import imports, place

_DIGEST_BLOCK = 1 << 20
_bundles: dict[str, dict[str, Any]] = {}  # what this process has read of the markers
_arrived: dict[str, dict[str, Any]] = {}  # entries of files that this process has just verified
_unable: dict[str, str] = {}  # why this process could not begin what it was sent, by bundle


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


def taken() -> float | None:
    """Return when EC2 was seen to say that it takes this host back, in seconds since 1970."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in drain_flag().with_name("notices").read_text().splitlines():
            words = line.split()
            if words[0] == "interruption":
                return float(words[1])
    return None


def identity() -> dict[str, Any]:
    """Return which engine this is: its host, process, and id and uuid."""
    who: dict[str, Any] = {"node": node_name(), "pid": os.getpid(), "engine": None, "uuid": None}
    if (given := place.current()) is not None:
        return {**who, "engine": given["engine"], "uuid": given["uuid"]}
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
    if place.current() is not None:
        with contextlib.suppress(Exception):
            place.tell(note)
        return
    publisher = getattr(_shell(), "data_pub", None)
    if publisher is not None:
        with contextlib.suppress(Exception):
            publisher.publish_data(note)


def refuse(reason: str, why: str = "") -> NoReturn:
    """Send the call to another engine; `why` says what is wrong with this one."""
    who = identity()
    note = {**who, "reason": reason, "why": why, "taken": taken()}
    if place.current() is not None:
        raise place.Refused(note)
    from ipyparallel.error import UnmetDependency

    publish(**{f"refused {who['uuid']}": note})
    raise UnmetDependency(f"{who['node']}: {why or reason}")


def unable(bundle: str, why: str) -> NoReturn:
    """Send the call to another engine, as what it needs is not as it should be on this one."""
    _unable[bundle] = why  # for a client that did not hear it
    refuse("unable", why)


def able(bundle: str) -> None:
    """Take note that this engine could begin what it was sent."""
    _unable.pop(bundle, None)


# --- split files ----------------------------------------------------------------------------------


def probe(bundle: str, needed: Iterable[str] = ()) -> dict[str, Any]:
    """Begin to import the modules that are `needed`, and tell of this engine and its host.

    Returns
    -------
    dict
        Who it is, see `identity`; ``ready``, whether its host has the files of `bundle`;
        ``draining``, whether that is leaving, and when it was ``taken``; ``unable``, why it could
        not begin what it was sent last, empty if it could.
    """
    # Hosts may share a home, and do not wait for one another.
    imports.begin(needed, store_dir().with_name(f"imports-{node_name()}"))
    ready, draining = entries_of(bundle) is not None, drain_flag().exists()
    why = _unable.get(bundle, "")
    return {**identity(), "ready": ready, "draining": draining, "unable": why, "taken": taken()}


def locate(bundle: str, files: list[dict[str, Any]]) -> list[str]:
    """Verify the files of a bundle on this host; return the digests of those it lacks.

    When none is lacking the bundle's marker is written. A file is taken from where the client has
    it, if this host sees the same content there, and else from the host's store.
    """
    entries: dict[str, Any] = {}
    missing: list[str] = []
    for file in files:
        arrived = _arrived.pop(file["digest"], None)
        if arrived is not None and _is_intact(arrived):
            entries[file["digest"]] = arrived
            continue
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


def has_arrived(digest: str, entry: dict[str, Any]) -> None:
    """Take note of a file that was verified before it took its place in the store.

    `locate`, which comes next, then need not read it once more.
    """
    _arrived[digest] = {**entry, "path": stored(digest)}


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
        intact = all(_is_intact(entry) for entry in entries.values())
    except (OSError, ValueError):
        intact = False
    if entries is None or not intact:
        forget(bundle)
        return None
    _bundles[bundle] = entries
    return entries


def _is_intact(entry: dict[str, Any]) -> bool:
    try:
        now = os.stat(entry["path"])  # noqa: PTH116 - a path as the client wrote it
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (entry["size"], entry["mtime"])


def is_verified(entry: dict[str, Any], digest: str) -> bool:
    """Read a file of a bundle; return whether it is what it was."""
    return verified(entry["path"], entry["size"], digest) is not None


def forget(bundle: str) -> None:
    """Have the files of a bundle located anew, for one was found damaged."""
    _bundles.pop(bundle, None)
    with contextlib.suppress(OSError):
        _marker(bundle).unlink()


def load(path: str) -> Any:
    """Map a split file into memory; it may be written to, and the file stays as it is."""
    import joblib

    with warnings.catch_warnings() if place.is_apart() else contextlib.nullcontext():
        # joblib says that arrays of objects, which a split may hold, cannot be mapped
        if place.is_apart():
            warnings.simplefilter("ignore")
        return joblib.load(path, mmap_mode="c")


# --- what a host is asked about itself ------------------------------------------------------------


def memory_mb() -> float:
    """Return the resident memory of this engine, in megabytes."""
    import psutil

    return float(psutil.Process().memory_info().rss / 1e6)


def free_memory_mb() -> float:
    """Return the free memory of this host, in megabytes (the page cache is not free)."""
    import psutil

    return float(psutil.virtual_memory().free / 1e6)


def lacking(modules: list[str]) -> list[str]:
    """Return those of some modules that cannot be imported here."""
    missing = []
    for name in modules:
        found = None
        with contextlib.suppress(Exception):
            found = importlib.util.find_spec(name)
        if found is None:
            missing.append(name)
    return missing


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
