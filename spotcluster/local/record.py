"""What the local cloud keeps in its folder about itself, for the processes that use it.

``settings.json`` stays: the access key and the port. ``daemon.json`` is there while the daemon
runs: a clean stop removes it, so one that names a process that is no more tells of a crash. Where
it is lost or damaged while the daemon runs, that is found among the user's processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from spotcluster import files, starts
from spotcluster.errors import LocalCloudError

from .access.callers import Credentials


@dataclass(frozen=True)
class Settings:
    """What stays over restarts."""

    credentials: Credentials
    port: int = 0


@dataclass(frozen=True)
class Daemon:
    """The daemon that runs, or ran; `created` is what `starts.start_of` says of it."""

    pid: int
    created: str | float
    url: str

    def is_alive(self) -> bool:
        """Return whether it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = starts.is_of(process, self.created)
            return same and str(process.status()) != str(psutil.STATUS_ZOMBIE)
        except (psutil.Error, OverflowError, ValueError):
            return False


def folder() -> Path:
    """Return the local cloud's folder."""
    return files.private_dir("local")


def settings(place: Path) -> Settings:
    """Return the settings, made at the first call."""
    data = _read(place / "settings.json")
    access_key, secret_key = data.get("access_key"), data.get("secret_key")
    port = data.get("port")
    if isinstance(access_key, str) and isinstance(secret_key, str) and access_key and secret_key:
        known = port if isinstance(port, int) and 0 <= port < 65536 else 0
        return Settings(Credentials(access_key, secret_key), known)
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
    data = {"pid": process.pid, "created": starts.start_of(process), "url": url}
    files.write_private(place / "daemon.json", json.dumps(data, indent=1))


def read(place: Path) -> Daemon | None:
    """Return the daemon that runs or crashed, None after a clean stop or before the first start."""
    told = _told(_read(place / "daemon.json"))
    if told is not None and told.is_alive():
        return told
    return search(place) or told


def search(place: Path, *, silent: bool = False) -> Daemon | None:
    """Return the daemon of a folder as it is found among this user's processes.

    Parameters
    ----------
    place : Path
        The local cloud's folder.
    silent : bool
        Whether also one that listens nowhere, as while it starts, or hangs.
    """
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if _command(process)[1:5] != [*COMMAND, str(place)]:
                continue
            # A process that the daemon has just forked looks like it, and listens nowhere else.
            url = _url_of(process)
            if url or silent:
                return Daemon(process.pid, starts.start_of(process), url)
    return None


COMMAND = ("-P", "-m", "spotcluster.local.daemon")
"""What follows the interpreter in the daemon's command line; the folder is next."""


def _command(process: psutil.Process) -> list[str]:
    if hasattr(os, "getuid") and process.uids().real != os.getuid():
        return []
    return list(process.cmdline())


def _url_of(process: psutil.Process) -> str:
    ports = [
        connection.laddr.port
        for connection in process.net_connections("tcp4")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.ip == "127.0.0.1"
    ]
    return f"http://127.0.0.1:{ports[0]}" if ports else ""


def _told(data: dict[str, Any]) -> Daemon | None:
    """Return what ``daemon.json`` says, None where that cannot be."""
    pid, created, url = data.get("pid"), data.get("created"), data.get("url")
    if not (isinstance(pid, int) and 0 < pid < sys.maxsize):
        return None
    if not (isinstance(created, int | float) or (isinstance(created, str) and ":" in created)):
        return None
    if not (isinstance(url, str) and re.fullmatch(r"http://127\.0\.0\.1:[0-9]{1,5}", url)):
        return None
    return Daemon(pid, created, url)


def remove(place: Path) -> None:
    """Say that no daemon runs."""
    (place / "daemon.json").unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(files.read_private(path))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    except OSError as error:
        raise LocalCloudError(
            f"{path}, which the local cloud keeps about itself, cannot be read: {error.strerror}.",
            "Move it away; what it says is made anew, and the instances are kept.",
        ) from error
    return data if isinstance(data, dict) else {}
