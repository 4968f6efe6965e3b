"""How one process of the keeper on the master is followed by another, of which each does one thing.

Most of the time nothing is to be done, and who only looks needs little memory (`watching`). Where
something is, the process begins anew as one that acts (`acting`), and when all is done as one that
looks. It is one process all the time, to its supervisor and to whoever ends it, and there are never
two that act. What the next one is to know it reads from its standard input; who is started with
nothing there acts, so one that is killed leaves nothing behind that the next one trusts in.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from typing import IO, Any, NoReturn

_SERVICE = "spotcluster.cluster.lifecycle.keeping.service"


@dataclass(frozen=True)
class Known:
    """What there is to know of a cluster besides what is seen of it, as plain values.

    Attributes
    ----------
    template : dict
        The settings of its template by their names.
    written : str
        What that was read from, see `watching.written`.
    ended : list of str
        The instances that have ended, or stopped, of which is written down what they cost.
    """

    template: dict[str, Any]
    written: str
    ended: list[str]


@dataclass(frozen=True)
class State:
    """What one process leaves to the next; times are those of `time.monotonic`.

    Attributes
    ----------
    rules : dict
        See `decision.Rules`.
    memory : dict
        See `observation.Observation`.
    noted : list of str
        What has been said, see `keeper.Keeper`.
    changed : float or None
        When the queue changed the size.
    counted : float
        When the ceiling is to be counted.
    known : Known or None
        Given to one that looks; None to one that acts.
    """

    rules: dict[str, Any]
    memory: dict[str, Any]
    noted: list[str] = field(default_factory=list)
    changed: float | None = None
    counted: float | None = None
    known: Known | None = None


def taken() -> State | None:
    """Return what the process before left to us; None where there was none."""
    text = "" if sys.stdin is None else sys.stdin.read()
    if not text:
        return None
    given = json.loads(text)
    if given["known"]:
        given["known"] = Known(**given["known"])
    return State(**given)


def _unnamed() -> IO[bytes]:
    """Return a file that nobody else sees; in memory where that can be: the disk may be full."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("keeper"), "w+b")
    return tempfile.TemporaryFile()


def hand_over(state: State) -> NoReturn:
    """Begin anew, as the process that is to go on."""
    with _unnamed() as file:
        file.write(json.dumps(asdict(state)).encode())
        file.seek(0)
        os.dup2(file.fileno(), 0)
    with contextlib.suppress(ValueError):  # closed
        sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", _SERVICE, *sys.argv[1:]])  # noqa: S606
