"""What the local cloud keeps in its folder about itself, for the processes that use it.

``settings.json`` stays: the access key and the port. ``daemon.json`` is there while the daemon
runs: a clean stop removes it, so one that names a process that is no more tells of a crash.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from spotcluster import files

from .access import Credentials


@dataclass(frozen=True)
class Settings:
    """What stays over restarts."""

    credentials: Credentials
    port: int = 0


@dataclass(frozen=True)
class Daemon:
    """The daemon that runs, or ran."""

    pid: int
    created: float
    url: str

    def is_alive(self) -> bool:
        """Return whether it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1.0
            return same and str(process.status()) != str(psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False


def folder() -> Path:
    """Return the local cloud's folder."""
    return files.private_dir("local")


def settings(place: Path) -> Settings:
    """Return the settings, made at the first call."""
    data = _read(place / "settings.json")
    try:
        return Settings(Credentials(data["access_key"], data["secret_key"]), int(data["port"]))
    except KeyError:
        made = Settings(Credentials.random())
        _keep(place, made)
        return made


def keep_port(place: Path, port: int) -> None:
    """Remember the port for the next start."""
    _keep(place, Settings(settings(place).credentials, port))


def _keep(place: Path, made: Settings) -> None:
    data = {
        "access_key": made.credentials.access_key,
        "secret_key": made.credentials.secret_key,
        "port": made.port,
    }
    files.write_private(place / "settings.json", json.dumps(data, indent=1))


def write(place: Path, url: str) -> None:
    """Say that this process is the daemon."""
    process = psutil.Process(os.getpid())
    data = {"pid": process.pid, "created": process.create_time(), "url": url}
    files.write_private(place / "daemon.json", json.dumps(data, indent=1))


def read(place: Path) -> Daemon | None:
    """Return the daemon that runs or crashed, None after a clean stop or before the first start."""
    data = _read(place / "daemon.json")
    try:
        return Daemon(int(data["pid"]), float(data["created"]), str(data["url"]))
    except KeyError:
        return None


def remove(place: Path) -> None:
    """Say that no daemon runs."""
    (place / "daemon.json").unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(files.read_private(path))
    except (FileNotFoundError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
