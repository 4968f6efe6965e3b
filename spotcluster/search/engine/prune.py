"""Keeps the folder of split files from growing for ever; on engines' hosts, and on the client.

A search that runs says so: on a host by the time stamp of its bundle's marker, on the client by a
*lease*, a file of the same form. Files that such a search may need are never removed. Of the others
go those that nothing has used for long, and the oldest ones when all together take too much.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from pathlib import Path

from . import here

OLD = 30 * 86400.0  # seconds without use
BUSY = 86400.0  # seconds since a search has said that it runs, in which it is believed
EVERY = 600.0  # seconds between two such times
SHARE = 0.25  # of the file system, for all split files

_said: dict[str, float] = {}


def used(bundle: str, digests: list[str] | None = None) -> None:
    """Say that a search with this bundle runs; `digests` are its files, for a lease."""
    now = time.time()
    if now - _said.get(bundle, 0.0) < EVERY:
        return
    _said[bundle] = now
    path = here.store_dir() / f"{bundle}.{'json' if digests is None else 'lease'}"
    with contextlib.suppress(OSError):
        if digests is not None and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(json.dumps(dict.fromkeys(digests)))
        os.utime(path, (now, now))  # not the file server's time, which `prune` does not know


def prune(limit: float | None = None) -> list[str]:
    """Remove what is not needed; return the names of the split files that went.

    Parameters
    ----------
    limit : float, optional
        Bytes that all split files may take; a share of the file system by default.
    """
    folder = here.store_dir()
    if not folder.is_dir():
        return []
    now = time.time()
    needed: dict[str, float] = {}  # when each content was needed last
    for note in [*folder.glob("*.json"), *folder.glob("*.lease")]:
        with contextlib.suppress(OSError, ValueError):
            at = note.stat().st_mtime
            for digest in json.loads(note.read_bytes()):
                needed[digest] = max(at, needed.get(digest, 0.0))
            if now - at > OLD:
                note.unlink()
    for part in folder.glob(".*"):  # of uploads and writers that never came to an end
        with contextlib.suppress(OSError):
            if now - part.stat().st_mtime > BUSY:
                part.unlink()
    return _remove(folder, needed, now, limit)


def _remove(folder: Path, needed: dict[str, float], now: float, limit: float | None) -> list[str]:
    files = []
    for path in folder.glob("*.pkl"):
        with contextlib.suppress(OSError):
            stat = path.stat()
            files.append((max(stat.st_mtime, needed.get(path.stem, 0.0)), stat.st_size, path))
    total = sum(size for _, size, _ in files)
    most = shutil.disk_usage(folder).total * SHARE if limit is None else limit
    gone = []
    for at, size, path in sorted(files):
        if now - at > OLD or (total > most and now - at > BUSY):
            with contextlib.suppress(OSError):
                path.unlink()
                gone.append(path.name)
                total -= size
    return gone
