"""How the machines of nodes do: load, memory, and the jobs and searches that run there."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from spotcluster import ssh, templates, wording
from spotcluster.cluster.node import Node
from spotcluster.errors import NodeError

_QUIET = 360.0  # seconds; a keeper that meets errors waits for up to five minutes


@dataclass(frozen=True)
class RunningJob:
    """A job of a cluster that runs; since when, in seconds of the epoch by its machine's clock."""

    id: int
    command: tuple[str, ...]
    started: float


@dataclass(frozen=True)
class Notice:
    """What EC2 has said of a machine; times in seconds of the epoch by that machine's clock.

    Attributes
    ----------
    kind : str
        "interruption": it is taken back; "rebalance": it may be soon.
    seen : float
        When its watcher saw it.
    time : datetime or None
        When it is taken back, or since when it may be, as EC2 says.
    """

    kind: str
    seen: float
    time: datetime | None


@dataclass(frozen=True)
class Vitals:
    """What a machine said.

    Attributes
    ----------
    load : tuple of float
        Processes that ran or waited to, on average over 1, 5 and 15 minutes.
    memory_used_mb : int or None
        None where the machine does not tell.
    draining : bool
        Whether it takes no evaluations any more.
    clock_ahead : float
        Seconds by which its clock is ahead of ours.
    searches : str
        What searches that run there say; see `spotcluster.published.parse`.
    jobs : tuple of RunningJob
        Those that run there, by number.
    packages : str
        A sum over what its environment has installed: the same where that is the same.
    idle_left : float or None
        Seconds after which it shuts itself down if it stays idle; None where it does not.
    busy : tuple of str
        Why it was not idle at the last look.
    keeper_runs : bool
        Whether the keeper on it has looked at the cluster lately.
    notices : tuple of Notice
        What EC2 has said of it.
    """

    cores: int
    load: tuple[float, ...]
    memory_total_mb: int
    memory_used_mb: int | None
    draining: bool
    clock_ahead: float
    searches: str = field(default="", repr=False)
    jobs: tuple[RunningJob, ...] = ()
    packages: str = ""
    idle_left: float | None = None
    busy: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    keeper_runs: bool = False

    @classmethod
    def parse(cls, text: str, now: float) -> Vitals:
        """Read what vitals.sh prints."""
        # Not splitlines: what a job's command has in it may look like the end of a line to it.
        lines = [line for line in text.split("\n") if line]
        jobs = [line.removeprefix("job=") for line in lines if line.startswith("job=")]
        given = dict(line.split("=", 1) for line in lines if not line.startswith("{"))
        total = int(given["memory_total_kb"])
        free = given["memory_free_kb"]
        left, busy = _idle(given.get("autostop", ""))
        return cls(
            cores=int(given["cores"]),
            load=tuple(float(one) for one in given["load"].split()),
            memory_total_mb=total // 1024,
            memory_used_mb=(total - int(free)) // 1024 if free else None,
            draining=given["draining"] == "1",
            clock_ahead=float(given["clock"]) - now,
            searches="".join(f"{line}\n" for line in lines if line.startswith("{")),
            jobs=tuple(sorted(_jobs(jobs, given), key=lambda job: job.id)),
            packages=given.get("packages", ""),
            idle_left=left,
            busy=busy,
            notices=tuple(_notices(lines)),
            keeper_runs=0 <= float(given.get("keeper", "inf")) < _QUIET,
        )


def _idle(said: str) -> tuple[float | None, tuple[str, ...]]:
    """Read what autostop.py has seen."""
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
        state = json.loads(said)
        left = state["left"]
        busy = tuple(wording.visible(str(one)) for one in state["busy"])
        return None if left is None else float(left), busy
    return None, ()


def _notices(lines: Iterable[str]) -> Iterable[Notice]:
    """Yield what notices.sh has written."""
    for line in lines:
        name, _, said = line.partition("=")
        words = said.split()
        if name == "notice" and len(words) >= 2 and words[0] in ("interruption", "rebalance"):
            when: datetime | None = None
            with contextlib.suppress(ValueError, IndexError):
                when = datetime.fromisoformat(words[2])
            with contextlib.suppress(ValueError):
                yield Notice(words[0], float(words[1]), when)


def _jobs(lines: Iterable[str], given: Mapping[str, str]) -> Iterable[RunningJob]:
    """Yield the jobs that run, of those that vitals.sh tells of; see job.py for what they say.

    Left out is one whose files were being removed.
    """
    processes = given.get("processes", "").split()
    for line in lines:
        with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
            number, first, spec = line.split("\t", 2)
            begun = json.loads(first)
            # The number of a process says nothing after its machine has been started again.
            if str(begun["pid"]) in processes and begun["boot"] == given["boot"]:
                command = tuple(str(word) for word in json.loads(spec)["command"])
                yield RunningJob(int(number), command, float(begun["started"]))


class Examiner:
    """Asks one node's machine again and again, over one connection.

    Attributes
    ----------
    target : Target
        Where the next connection goes; a node that is being set up changes its host key, and one
        that was stopped its address.
    """

    def __init__(self, node: Node) -> None:
        self.target = node.target
        self._connection: ssh.Connection | None = None

    def ask(self, timeout: float) -> Vitals:
        """Return how the machine does.

        Raises
        ------
        NodeError
            It cannot be reached, or did not answer within `timeout` seconds.
        """
        end = time.monotonic() + timeout
        if self._connection is None or not self._connection.alive:
            self.close()
            self._connection = ssh.connect(self.target, timeout=timeout)
        try:
            said = self._connection.run(
                templates.read("vitals.sh"),
                what="asking how the machine does",
                looks=True,
                timeout=max(1.0, end - time.monotonic()),
            )
        except BaseException:
            self.close()
            raise
        try:
            return Vitals.parse(said.stdout, time.time())
        except (KeyError, ValueError) as error:
            message = "what it says of its load and memory cannot be read."
            raise NodeError(self.target.alias, message) from error

    def close(self) -> None:
        """Leave the machine."""
        with contextlib.suppress(OSError):
            if self._connection is not None:
                self._connection.close()
        self._connection = None
