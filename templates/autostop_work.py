"""Prints what of the cluster runs as whoever runs this, a line each: what keeps it from ending.

What could not be found out begins with a question mark; see autostop.py, which asks.
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from pathlib import Path

FRESH = 60.0  # seconds for which holds what somebody says of its tasks
UNSURE = "? "
ROOT = Path.home() / ".spotcluster"


def work() -> list[str]:
    """Return what of the cluster runs as this user, and what of it could not be found out."""
    found: list[str] = []
    for look in (tasks, dask, ray, jobs, kernels):
        try:
            found += look()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are seen
            found.append(f"{UNSURE}{look.__name__}: {error}")
    return found


def tasks() -> list[str]:
    """Return whether something is not answered at the controller."""
    return _unanswered(ROOT / "tasks", "the controller")


def dask() -> list[str]:
    """Return whether something is not done of what dask's scheduler was given."""
    return _unanswered(ROOT / "dask" / "tasks", "dask's scheduler")


def ray() -> list[str]:
    """Return whether something that Ray was given runs."""
    return _unanswered(ROOT / "ray" / "tasks", "Ray's head")


def _unanswered(path: Path, whose: str) -> list[str]:
    """Return whether somebody has tasks, who writes every few seconds how many."""
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return []
    if abs(age) >= FRESH:
        raise OSError(f"{whose} has said nothing for {age:.0f} s")
    return [f"tasks at {whose}"] if int(path.read_text() or 0) else []


def jobs() -> list[str]:
    """Return the jobs that run; who runs one holds a lock on it, see job.py."""
    found = []
    for begun in sorted(ROOT.glob("jobs/[0-9]*/begun.json")):
        folder = begun.parent
        if (folder / "end.json").exists():
            continue
        try:
            with (folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            found.append(f"job {folder.name}")
    return found


def kernels() -> list[str]:
    """Return the notebooks that compute something."""
    own = ROOT / "notebook"
    try:
        port, token = int((own / "port").read_text()), (own / "token").read_text().strip()
    except (OSError, ValueError):
        return []
    import urllib.request  # only here: it takes longer than all the rest, and most have no notebook

    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/kernels", headers={"Authorization": f"token {token}"}
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(asked, timeout=10) as answer:
            found = json.load(answer)
    except ConnectionRefusedError:
        return []
    except OSError as error:
        if isinstance(getattr(error, "reason", None), ConnectionRefusedError):
            return []
        raise
    busy = sum(one.get("execution_state") == "busy" for one in found)
    return [f"{busy} busy notebook kernel(s)"] if busy else []


if __name__ == "__main__":
    sys.stdout.writelines(f"{one}\n" for one in work())
