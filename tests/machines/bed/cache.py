"""What takes long to make, made once: folders named by the hash of what they are made from."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def folder() -> Path:
    """Return the cache's folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base) / "spotcluster-testbed"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def made(kind: str, recipe: str, make: Callable[[Path], None], *, base: Path | None = None) -> Path:
    """Return the folder that `make` makes by `recipe`, made now if it is not there.

    It is put in place whole, and two test runs that want the same one wait for one another. Of each
    kind the three that were used last are kept. They are in `folder`, or in `base`, which is made
    too.
    """
    base = folder() if base is None else base
    base.mkdir(mode=0o700, exist_ok=True)
    if base.stat().st_uid != os.getuid():
        raise PermissionError(f"{base} is another user's")
    name = f"{kind}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    path = base / name
    with (base / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.is_dir():
            os.utime(path)
            return path
        for left in base.glob(f"{kind}-*.new"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        aside = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".new", dir=base))
        try:
            aside.chmod(0o755)
            make(aside)
            aside.rename(path)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        _keep_newest(base, kind, 3)
    return path


def _keep_newest(base: Path, kind: str, number: int) -> None:
    found = [one for one in base.glob(f"{kind}-*") if one.is_dir()]
    for old in sorted(found, key=lambda one: one.stat().st_mtime, reverse=True)[number:]:
        shutil.rmtree(old, ignore_errors=True)
