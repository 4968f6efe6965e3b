"""Jobs: programs of the user's on the master, which outlive the laptop's connection.

All that is known of them is on the master; see templates/job.py, which runs them there.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spotcluster import wording
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.on_master import detached, library
from spotcluster.cluster.on_master.bundle import Bundle
from spotcluster.cluster.on_master.library import Library
from spotcluster.errors import (
    ClusterError,
    ConnectionFailed,
    NodeError,
    RemoteCommandFailed,
    SpotclusterError,
    UsageError,
)

GRACE = 10.0
"""Seconds between TERM and KILL when a job is cancelled."""

_SILENCE = 60.0  # the master speaks every 10 s
_RECONNECT = 120.0  # seconds without a connection after which we give up following
_PAUSES = (0.2, 1.0, 2.0, 5.0)
_COPY_LIMIT = 3600.0
_START_LIMIT = 60.0
_SIGNALLED = 128  # the statuses of programs that were killed begin here


@dataclass(frozen=True)
class Job:
    """What the master knows of a job.

    Attributes
    ----------
    state : str
        ``new`` (it has not begun), ``running``, ``done`` (its status is 0), ``failed`` (another),
        ``cancelled``, or ``lost`` (its machine went down, or something killed what ran it).
    status : int or None
        Its exit status, 128 + n when signal n killed it; None where nobody knows.
    reason : str
        Why it is lost.
    created, started, ended : float or None
        When, in seconds of the epoch by the master's clock.
    now : float
        When the master was asked, by the same clock.
    """

    id: int
    command: tuple[str, ...]
    state: str
    status: int | None
    reason: str
    created: float
    started: float | None
    ended: float | None
    now: float

    @classmethod
    def parse(cls, said: dict[str, Any]) -> Job:
        """Read what the master says."""
        return cls(
            **{name: said[name] for name in ("id", "state", "status", "reason", "created")},
            **{name: said[name] for name in ("started", "ended", "now")},
            command=tuple(said["command"]),
        )

    @property
    def duration(self) -> float | None:
        """Seconds that it took, or has taken until now."""
        if self.started is None:
            return None
        return max(0.0, (self.now if self.ended is None else self.ended) - self.started)

    @property
    def exit_status(self) -> int:
        """What a command that followed it to its end ends with."""
        return 1 if self.status is None else self.status

    @property
    def folder(self) -> str:
        """Its folder, relative to the home of its user."""
        return f"jobs/{self.id}"


class Jobs:
    """The jobs of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._master = cluster.master
        self._known: Library | None = None

    @property
    def _library(self) -> Library:
        if self._known is None:
            self._known = library.install(self.cluster)
        return self._known

    @property
    def user(self) -> str | None:
        """Whose the jobs are, where that is not who logs in."""
        account = self._master.account.name
        return None if account == self._master.target.user else account

    def submit(self, bundle: Bundle) -> Job:
        """Copy a bundle to a new job's folder on the master, and start it there.

        Raises
        ------
        UsageError
            Something of it cannot be read.
        ClusterError
            It did not start.
        """
        with tempfile.NamedTemporaryFile(prefix="spotcluster-", suffix=".tar.gz") as packed:
            count, size = bundle.pack(packed)
            packed.flush()
            spec = {"command": list(bundle.command), "cluster": self.cluster.name}
            number = int(self._call("making a job", "new", input=json.dumps(spec).encode()))
            if count > 1:
                self.cluster.note(f"copying {count} files, {size / 1e6:.1f} MB")
            try:
                self._bring(number, Path(packed.name))
                return self._start(number)
            except BaseException:
                with contextlib.suppress(SpotclusterError):
                    self.cancel(number, grace=0)
                    self.cluster.note(f"Job {number} is given up.")
                raise

    def _start(self, number: int) -> Job:
        unit = f"spotcluster-job-{number}"
        detached.start(self._master, unit, self._words("run", str(number)))
        end = time.monotonic() + _START_LIMIT
        while (job := self.get(number)).state == "new":
            if time.monotonic() > end:
                raise ClusterError(
                    f"Job {number} did not start within {_START_LIMIT:.0f} s.",
                    "The master may be too busy, or its disk full.",
                )
            time.sleep(0.1)
        return job

    def _bring(self, number: int, packed: Path) -> None:
        """Unpack an archive in a job's folder: the login copies it, its user unpacks it."""
        account = self._master.account
        there = f".spotcluster/.job-{number}-{secrets.token_hex(4)}.tar.gz"
        self._master.put(packed, f"~/{there}")
        folder = f"{account.home}/jobs/{number}"
        sudo = f"sudo -n -H -u {shlex.quote(account.name)} -- " if self.user else ""
        script = (
            f"packed=$HOME/{there}\ntrap 'rm -f -- \"$packed\"' EXIT\ncd /\n"
            f'{sudo}tar -xzf - --no-same-owner -C {shlex.quote(folder)} <"$packed"\n'
        )
        self._master.run(script, what="unpacking the job's files", timeout=_COPY_LIMIT)

    def all(self, *numbers: int) -> list[Job]:
        """Return all jobs that there ever were, or of those the ones named, the oldest first."""
        said = self._call("listing jobs", "list", *(str(number) for number in numbers))
        with self._understood():
            return [Job.parse(one) for one in json.loads(said)]

    def get(self, number: int | None = None) -> Job:
        """Return a job, the newest one unless a number is given.

        Raises
        ------
        UsageError
            There is none.
        """
        found = self.all() if number is None else self.all(number)
        if found:
            return found[-1]
        if number is None:
            raise UsageError(
                f"'{self.cluster.name}' has had no job.",
                f"`spotcluster run {self.cluster.name} script.py` runs one.",
            )
        there = wording.listed(job.id for job in self.all()[-10:])
        raise UsageError(
            f"'{self.cluster.name}' has no job {number}.", f"The newest of its jobs: {there}."
        )

    def cancel(self, number: int, *, grace: float = GRACE) -> Job:
        """End a job and all that belongs to it: TERM, and KILL `grace` seconds later."""
        said = self._call("cancelling", "cancel", str(number), str(grace), timeout=grace + 60)
        with self._understood():
            return Job.parse(json.loads(said))

    def follow(
        self, number: int, write: Callable[[bytes], None], *, lines: int | None = None, on: bool
    ) -> Job:
        """Pass a job's output on as it comes, and return the job once it has ended.

        A connection that is lost is made again, and no byte is lost or comes twice.

        Parameters
        ----------
        write : callable
            Takes the next piece of the output.
        lines : int, optional
            How many of the lines that are there to begin with; all unless given.
        on : bool
            Whether to go on until it has ended, rather than to the end of what is there.

        Raises
        ------
        ConnectionFailed
            There was no connection for two minutes.
        """
        reading = _Reading(-lines if lines else 0)
        lost_at: float | None = None
        tries = 0
        while True:
            try:
                return self._follow_once(number, reading, write, on=on)
            except (ConnectionFailed, RemoteCommandFailed) as error:
                # A machine that goes down ends what speaks to us before it ends the connection.
                if isinstance(error, RemoteCommandFailed) and 0 <= error.status < _SIGNALLED:
                    raise
                now = time.monotonic()
                if lost_at is None or reading.moved:
                    lost_at, tries = now, 0
                    self.cluster.note("The connection to the master was lost; connecting again ...")
                reading.moved = False
                if now - lost_at > _RECONNECT:
                    raise
                time.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
                tries += 1

    def _follow_once(
        self, number: int, reading: _Reading, write: Callable[[bytes], None], *, on: bool
    ) -> Job:
        mark = secrets.token_hex(12)
        words = ("follow", str(number), str(reading.place), mark, "on" if on else "off")
        command = self._words(*words)
        connection = self._master.connection()
        pieces = connection.stream(
            command, what="following the job", user=self._master.account.name, silence=_SILENCE
        )
        with contextlib.closing(pieces):
            lines = _Lines(self._master.alias, pieces)
            while lines.line() != mark:  # what the login's shell printed before us
                pass
            while True:
                line = lines.line()
                with self._understood():
                    if line.startswith("="):
                        return Job.parse(json.loads(line[1:]))
                    if line.startswith("@"):
                        reading.place = int(line[1:])
                        continue
                    length = int(line)
                for piece in lines.take(length):
                    write(piece)
                    reading.place += len(piece)
                    reading.moved = True

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """Say that what the master told of jobs is no answer: it is the login's shell's perhaps."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise NodeError(
                self._master.alias,
                "what it says of its jobs cannot be read.",
                "The login's shell may print something when it starts, or the files in ~/jobs are"
                " damaged.",
            ) from error

    def _words(self, *words: str) -> list[str]:
        return [self._library.python, f"{self._library.folder}/job.py", *words]

    def _call(self, what: str, *words: str, timeout: float = 60, input: bytes | None = None) -> str:  # noqa: A002 - as subprocess.run has it
        script = shlex.join(self._words(*words))
        return self._master.account.run(script, what=what, timeout=timeout, input=input)


@dataclass
class _Reading:
    """How far the output has been read, from whatever connection."""

    place: int
    moved: bool = False


class _Lines:
    """Lines, and between them pieces of a given length, of a stream of bytes."""

    def __init__(self, alias: str, pieces: Iterator[bytes]) -> None:
        self._alias = alias
        self._pieces = pieces
        self._rest = b""

    def _more(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise ConnectionFailed(self._alias, "it stopped in the middle of a job's output.")

    def line(self) -> str:
        while b"\n" not in self._rest:
            self._rest += self._more()
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace")

    def take(self, size: int) -> Iterator[bytes]:
        while size:
            if not self._rest:
                self._rest = self._more()
            piece, self._rest = self._rest[:size], self._rest[size:]
            size -= len(piece)
            yield piece
