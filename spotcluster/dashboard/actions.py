"""What is done from a page: our own commands, each a process of its own.

There is no second way to do it. A command goes on when the page or the dashboard is closed, as if
it had been typed elsewhere; what it prints goes to a file, which is shown while it runs.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spotcluster import files, wording
from spotcluster.dashboard.snapshot import Doing, Snapshot

_KEPT = 20
_TAIL = 6000  # bytes of what it has printed
_TIME = re.compile(r"off|[0-9]+(\.[0-9]+)? ?[a-z]{0,10}", re.IGNORECASE)
_MOST = 1000  # nodes at once


class Refused(Exception):
    """What was asked for makes no sense; a sentence."""


@dataclass(frozen=True)
class Asked:
    """A command, in words."""

    title: str
    words: tuple[str, ...]


def asked(given: dict[str, Any], seen: Snapshot) -> Asked:
    """Return the command for what a page asks for.

    Raises
    ------
    Refused
        It asks for what is not there, or for no number.
    """
    make = _COMMANDS.get(str(given.get("do")))
    if make is None:
        raise Refused("There is no such action.")
    if seen.gone:
        raise Refused(seen.gone)
    return make(given, seen)


def _add(given: dict[str, Any], seen: Snapshot) -> Asked:
    text = str(given.get("count", "")).strip()
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise Refused(f"How many nodes? A whole number from 1 to {_MOST}.")
    words = ["addnode", "-s", str(int(text))]
    if bid := str(given.get("bid", "")).strip():
        try:
            usd = float(bid)
        except ValueError:
            usd = math.nan
        if not (math.isfinite(usd) and usd > 0):
            raise Refused(f"'{bid}' is no price in USD per hour; write 0.5, for example.")
        words += ["-b", bid]
    number = f"{int(text)} node{'s' if int(text) > 1 else ''}"
    return Asked(f"Add {number}", (*words, seen.name))


def _remove(given: dict[str, Any], seen: Snapshot) -> Asked:
    there = {one.alias for one in seen.nodes if not one.is_master}
    wanted = given.get("nodes")
    nodes = [str(one) for one in wanted] if isinstance(wanted, list) else []
    if not nodes:
        raise Refused("No node is chosen.")
    if lacking := [one for one in nodes if one not in there]:
        raise Refused(f"There is no worker {wording.listed(lacking)}.")
    return Asked(f"Remove {wording.some(nodes, 5)}", ("removenode", "-y", seen.name, *nodes))


def _abort(given: dict[str, Any], seen: Snapshot) -> Asked:
    one = next((one for one in seen.searches if one.id == given.get("search")), None)
    if one is None or one.state != "running":
        raise Refused("That search does not run any more.")
    if not (one.here or one.on_master):
        raise Refused("It runs on another computer; call its abort() there.")
    return Asked(f"Abort the {one.kind}", ("abort", "-y", seen.name, one.id))


def _postpone(given: dict[str, Any], seen: Snapshot) -> Asked:
    text = str(given.get("time", "")).strip()
    if text and not _TIME.fullmatch(text):
        raise Refused(f"'{text}' is no time; write 2h, 30m or off.")
    words = [text.replace(" ", "")] if text else []
    return Asked("Postpone autostop", ("autostop", seen.name, *words))


def _terminate(given: dict[str, Any], seen: Snapshot) -> Asked:
    if given.get("name") != seen.name:
        raise Refused(f"Type the cluster's name, {seen.name}, to end it.")
    return Asked(f"Terminate {seen.name}", ("terminate", "-y", seen.name))


_COMMANDS: dict[str, Callable[[dict[str, Any], Snapshot], Asked]] = {
    "add": _add,
    "remove": _remove,
    "abort": _abort,
    "postpone": _postpone,
    "terminate": _terminate,
}


@dataclass
class _Running:
    number: int
    asked: Asked
    path: Path
    process: subprocess.Popen[bytes] | None
    started: float = field(default_factory=time.time)
    ended: float | None = None
    status: int | None = None


class Runner:
    """Runs commands, and knows what they have printed.

    Parameters
    ----------
    options : sequence of str
        What comes before each command: the config and the region.
    """

    def __init__(self, options: Sequence[str]) -> None:
        self._options = tuple(options)
        self._lock = threading.Lock()
        self._all: list[_Running] = []
        self._count = 0

    def run(self, what: Asked) -> None:
        """Start a command."""
        with self._lock:
            self._count += 1
            path = files.private_dir("dashboard") / f"{os.getpid()}-{self._count}.txt"
            words = [sys.executable, "-m", "spotcluster", *self._options, *what.words]
            with path.open("wb") as output:
                path.chmod(0o600)
                # Ctrl-C that ends the dashboard must not end this half-way.
                process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._all.append(_Running(self._count, what, path, process))
            for old in self._all[:-_KEPT]:
                if old.ended is not None:
                    old.path.unlink(missing_ok=True)
                    self._all.remove(old)

    def doings(self) -> tuple[Doing, ...]:
        """Return the commands, the latest first."""
        with self._lock:
            return tuple(self._look(one) for one in reversed(self._all))

    def close(self) -> list[str]:
        """Forget what has ended; return what goes on, in words."""
        running = [one.command for one in self.doings() if one.ended is None]
        for one in self._all:
            if one.ended is not None:
                one.path.unlink(missing_ok=True)
        return running

    def _look(self, one: _Running) -> Doing:
        if one.ended is None and one.process is not None:
            one.status = one.process.poll()
            one.ended = None if one.status is None else time.time()
        try:
            with one.path.open("rb") as file:
                file.seek(max(0, one.path.stat().st_size - _TAIL))
                text = file.read().decode(errors="replace")
        except OSError:
            text = ""
        return Doing(
            one.number,
            one.asked.title,
            shlex.join(["spotcluster", *self._options, *one.asked.words]),
            one.started,
            one.ended,
            one.status,
            "\n".join(wording.visible(line) for line in text.splitlines()),
        )
