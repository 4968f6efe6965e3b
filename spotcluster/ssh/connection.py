"""A connection to a machine: scripts, files, and channels for forwarding."""

from __future__ import annotations

import contextlib
import shlex
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import paramiko

from spotcluster.errors import ConnectionFailed, NodeError, RemoteCommandFailed
from spotcluster.ssh import channels, sftp
from spotcluster.ssh.apart import apart, apart_each
from spotcluster.ssh.script import KILLED_AFTER, Ending, Script
from spotcluster.ssh.series import Series
from spotcluster.ssh.target import Target
from spotcluster.steps import Step

_SESSIONS = 8  # sshd's MaxSessions is 10 unless changed; one more would be refused, not queued
_OPEN_TIMEOUT = 30.0
_FILE_TIMEOUT = 60.0
_LAST_ERRORS = 16 * 1024  # bytes of standard error that a message may be made of
_ANSWER = 1.0  # for the answer of a machine that ended a script at its limit
_LAST_WORD = 0.5  # for paramiko to say that it has lost a connection


@dataclass(frozen=True)
class Result:
    """What a script returned.

    Attributes
    ----------
    status : int
        Its exit status; -1 when it was killed.
    stdout, stderr : str
        What it printed, decoded as UTF-8.
    output : str
        Both, in the order in which they came.
    """

    status: int
    stdout: str
    stderr: str
    output: str = field(default="", compare=False)


class Connection:
    """A connection that is logged in; safe to use from several threads at once.

    Made by `spotcluster.ssh.connect` and `spotcluster.ssh.wait_for`. It does not come back by
    itself when it is lost; `alive` says so. A Ctrl-C while something runs over it ends it.
    """

    def __init__(self, target: Target, transport: Any) -> None:
        self.target = target
        self._transport = transport
        self._sessions = threading.BoundedSemaphore(_SESSIONS)

    def __repr__(self) -> str:
        state = "alive" if self.alive else "closed"
        return f"<Connection {self.target.user}@{self.target.alias} {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether it can be used, as far as this side knows."""
        return bool(self._transport.is_active() and self._transport.is_authenticated())

    def close(self) -> None:
        """Close it, and everything that runs over it."""
        self._transport.close()
        if self._transport is not threading.current_thread():
            self._transport.join(1.0)

    def abandon(self) -> None:
        """End it at once, whatever state an interrupt has left it in; this takes no lock."""
        self._transport.stop_thread()

    @apart
    def run(
        self,
        script: str,
        *,
        timeout: float = 600.0,
        what: str = "",
        user: str | None = None,
        input: bytes | None = None,  # noqa: A002 - the name that subprocess.run has for it
        check: bool = True,
        looks: bool = False,
        tied: bool = False,
    ) -> Result:
        """Run a bash script under ``set -euo pipefail`` in the login's home.

        It goes over whole, in one round trip, and its commands cannot read the rest of it: their
        standard input is `input`, or nothing.

        Parameters
        ----------
        script : str
            The script, of any size.
        timeout : float
            Seconds it may take. Then its processes get TERM, and KILL two seconds later.
        what : str, optional
            What it is for, as the user would call it; its first line unless given.
        user : str, optional
            Who runs it, by ``sudo -n -H -u``; the login unless given.
        input : bytes, optional
            The standard input of its commands.
        check : bool
            Whether to raise when its status is not 0.
        looks : bool
            Whether it only looks how the machine does, so that no idle one is kept up by it.
        tied : bool
            Whether its standard input, after `input`, stays open for as long as the connection
            does, so that a script which waits for the end of it knows when we are gone.

        Raises
        ------
        RemoteCommandFailed
            Its status was not 0 (and `check`), or it was killed, or its time was over.
        ConnectionFailed
            The connection was lost before it ended.
        """
        sudo = user if user != self.target.user else None
        given = (input or b"") if tied else input
        sent = Script(script, max(0.001, timeout), sudo, given, looks=looks)
        what = what or f"`{_shorten(sent.first_line)}`"
        begin = time.monotonic()
        got = self._execute(sent, what, ends=input is not None and not tied)
        status = -1 if got.status is None else got.status
        stdout, stderr = got.stdout, got.stderr
        ending = sent.ending(status, stdout, stderr, elapsed=time.monotonic() - begin)
        output = _decode(got.in_order(ending.stdout, ending.stderr))
        if got.late or ending.timed_out:
            raise self._too_late(what, timeout, ending, output)
        if status != 0 and check:
            raise self._failed(what, status, ending, output)
        said = _decode(stdout[ending.stdout]), _decode(stderr[ending.stderr])
        return Result(status, *said, output)

    @apart
    def run_each(self, steps: Sequence[Step], *, timeout: float) -> list[str]:
        """Run several scripts one after the other in one round trip, up to the first that fails.

        Each runs as `run` would run it.

        Parameters
        ----------
        steps : sequence of Step
            What is to be done, by whom, and what it is for.
        timeout : float
            Seconds that all of them may take together.

        Returns
        -------
        list of str
            What each has printed on standard output.

        Raises
        ------
        RemoteCommandFailed
            One failed, or its time was over; the error is of that one.
        ConnectionFailed
            The connection was lost before all had ended.
        """
        series = Series.of(steps, self.target.user, max(1.0, timeout))
        got = self._execute(series.whole, steps[0].what, at=series.at)
        if got.status == 0 and not got.late:
            return [_decode(one) for one in series.outputs(got.stdout)]
        status = -1 if got.status is None else got.status
        failure = series.failure(status, got.stdout, got.stderr)
        ending = failure.ending
        output = _decode(got.in_order(ending.stdout, ending.stderr))
        if got.late or ending.timed_out:
            raise self._too_late(failure.step.what, failure.step.timeout, ending, output)
        raise self._failed(failure.step.what, failure.status, ending, output)

    def _execute(
        self,
        sent: Script,
        what: str,
        at: Callable[[bytes], str] | None = None,
        *,
        ends: bool = False,
    ) -> channels.Exchange:
        """Run a script to its end, or until its time is over.

        `at` tells from its standard error what it was at, for an error; `ends`, whether its input
        ends.
        """
        deadline = time.monotonic() + sent.limit + KILLED_AFTER + _ANSWER
        with self._session(what, deadline=deadline) as channel:
            got = channels.execute(channel, sent.line, sent.stdin, ends=ends, deadline=deadline)
            if got.late:
                channels.kill(channel)
        if got.status is None and not got.late and self._is_lost():
            raise self._lost(at(got.stderr) if at else what)
        return got

    @apart
    def put(self, data: bytes | Path, target: str, *, mode: int = 0o600) -> None:
        """Write a file on the machine: aside, then renamed.

        Parameters
        ----------
        data : bytes or Path
            Its content, or a file of this computer.
        target : str
            Its path; ``~/`` and relative paths start at the login's home. Missing folders are made
            with mode 0700.
        mode : int
            Its mode.

        Raises
        ------
        NodeError
            It cannot be written.
        ConnectionFailed
            The connection was lost.
        """
        with self._files(f"writing {target}") as client:
            sftp.put(client, data, target, mode=mode)

    @apart
    def get(self, source: str) -> bytes:
        """Return the content of a file on the machine.

        Parameters
        ----------
        source : str
            Its path; ``~/`` and relative paths start at the login's home.

        Raises
        ------
        NodeError
            It is not there or cannot be read.
        ConnectionFailed
            The connection was lost.
        """
        with self._files(f"reading {source}") as client:
            return sftp.get(client, source)

    @contextlib.contextmanager
    def program(self, line: str, what: str) -> Iterator[Any]:
        """Run a command line of the login's shell and give its channel; it ends with the block.

        Raises
        ------
        ConnectionFailed
            The connection was lost.
        NodeError
            No session could be opened.
        """
        deadline = time.monotonic() + _OPEN_TIMEOUT
        with self._session(what, deadline=deadline) as channel:
            with channels.starting(channel, deadline):
                channel.exec_command(line)
            yield channel

    @apart_each
    def stream(
        self, command: Sequence[str], *, what: str, user: str | None = None, silence: float
    ) -> Generator[bytes, None, None]:
        """Run a program and yield its standard output as it comes, for as long as that lasts.

        Nothing of it is kept, so it may be of any size. Closing the iterator closes the channel.

        Parameters
        ----------
        command : sequence of str
            The program and its arguments.
        what : str
            What it is for, as the user would call it.
        user : str, optional
            Who runs it, by ``sudo -n -H -u``; the login unless given.
        silence : float
            Seconds without any output after which the connection counts as lost.

        Raises
        ------
        RemoteCommandFailed
            Its status was not 0.
        ConnectionFailed
            The connection was lost before it ended.
        """
        words = list(command)
        if user and user != self.target.user:
            words = ["sudo", "-n", "-H", "-u", user, "--", *words]
        errors = bytearray()
        deadline = time.monotonic() + _OPEN_TIMEOUT
        with self._session(what, deadline=deadline) as channel:
            try:
                for is_error, data in channels.stream(
                    channel, f"exec {shlex.join(words)}", silence=silence, deadline=deadline
                ):
                    if is_error:
                        errors[:] = (errors + data)[-_LAST_ERRORS:]
                    else:
                        yield data
            except TimeoutError as error:
                raise self._lost(what) from error
            status = channel.exit_status if channel.status_event.is_set() else -1
        if status < 0 and self._is_lost():
            raise self._lost(what)
        if status:
            raise RemoteCommandFailed(
                self.target.alias, what, _shorten(shlex.join(command)), status, _decode(errors)
            )

    def open_forward(self, host: str, port: int, origin: tuple[str, int]) -> Any:
        """Return a channel to a port that the machine can reach, for `Tunnel`.

        Raises
        ------
        paramiko.ChannelException
            The machine cannot reach it, or does not let us.
        paramiko.SSHException
            The connection is lost.
        """
        return self._transport.open_channel(
            "direct-tcpip", (host, port), origin, timeout=_OPEN_TIMEOUT
        )

    @contextlib.contextmanager
    def _session(self, what: str, *, deadline: float) -> Iterator[Any]:
        """Open a session channel; what paramiko raises in it becomes our error."""
        left = max(0.1, deadline - time.monotonic())
        if not self._sessions.acquire(timeout=left):
            raise NodeError(
                self.target.alias,
                f"{what} could not start within {left:.0f} s: {_SESSIONS} other things run there"
                " over the same connection.",
                "Give it more time.",
            )
        try:
            channel = self._open_session(what, deadline)
            try:
                yield channel
            except (paramiko.SSHException, EOFError) as error:
                if self._is_lost():
                    raise self._lost(what) from error
                raise NodeError(
                    self.target.alias,
                    f"its SSH server did not take {what}: {error}.",
                    "It may be too busy, or its image restricts what the login may do.",
                ) from error
            finally:
                channel.close()
        finally:
            self._sessions.release()

    def _open_session(self, what: str, deadline: float) -> Any:
        left = max(0.1, min(_OPEN_TIMEOUT, deadline - time.monotonic()))
        try:
            return self._transport.open_session(timeout=left)
        except (paramiko.SSHException, EOFError, OSError) as error:
            if self._is_lost():
                raise self._lost(what) from error
            raise NodeError(
                self.target.alias,
                f"its SSH server opened no session for {what}: {error}.",
                "It may be too busy; try again.",
            ) from error

    @contextlib.contextmanager
    def _files(self, what: str) -> Iterator[paramiko.SFTPClient]:
        deadline = time.monotonic() + _FILE_TIMEOUT
        with self._session(what, deadline=deadline) as channel:
            channel.settimeout(_FILE_TIMEOUT)  # for each answer, not for the whole file
            with channels.starting(channel, deadline):
                channel.invoke_subsystem("sftp")
            try:
                yield paramiko.SFTPClient(channel)
            except (OSError, paramiko.SFTPError) as error:
                if self._is_lost():
                    raise self._lost(what) from error
                reason = getattr(error, "strerror", None) or str(error) or "no answer"
                raise NodeError(
                    self.target.alias, f"{what} failed: {reason}.", sftp.hint(error)
                ) from error

    def _is_lost(self) -> bool:
        """Return whether what has just failed did so because the connection is lost."""
        # paramiko wakes who waits on a channel a moment before it says that the connection is lost.
        self._transport.join(_LAST_WORD)
        return not self.alive

    def _lost(self, what: str) -> ConnectionFailed:
        return ConnectionFailed(
            self.target.alias,
            f"the SSH connection to {self.target.where} was lost during {what}.",
            "The machine may have been terminated or interrupted, or the network failed.",
        )

    def _too_late(
        self, what: str, limit: float, ending: Ending, output: str
    ) -> RemoteCommandFailed:
        error = RemoteCommandFailed(
            self.target.alias,
            f"{what}, stopped at its limit of {limit:g} s,",
            _shorten(ending.command),
            -1,
            output,
        )
        error.hint = "It hangs, or needs more time than it was given."
        return error

    def _failed(self, what: str, status: int, ending: Ending, output: str) -> RemoteCommandFailed:
        error = RemoteCommandFailed(
            self.target.alias, what, _shorten(ending.command), status, output
        )
        if not ending.started:
            error.hint = (
                "The script did not start: check that the login may run commands, that bash is"
                " there, and, for another user, that sudo asks for no password."
            )
        return error


def _shorten(command: str) -> str:
    """Return a command on one line of bearable length."""
    line, _, more = command.strip().partition("\n")
    return line[:157] + "..." if len(line) > 160 else line + (" ..." if more else "")


def _decode(data: bytes | bytearray) -> str:
    return data.decode(errors="replace")
