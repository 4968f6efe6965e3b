"""Attempts until a booting machine lets us in."""

from __future__ import annotations

import time
from collections.abc import Callable

from spotcluster.errors import ConnectionFailed, HostKeyMismatch
from spotcluster.ssh import keys
from spotcluster.ssh.attempt import dial
from spotcluster.ssh.connection import Connection
from spotcluster.ssh.failures import CannotConnect, Reason
from spotcluster.ssh.target import Target

_ATTEMPT = 15.0
_TCP_ATTEMPT = 3.0  # a booting machine drops the first packets, and the kernel repeats ever later
_FIRST_PAUSE, _LONGEST_PAUSE = 0.3, 1.0
# OpenSSH 9.8 and later shut an address out that fails to log in too often, so those pauses grow.
_LONGEST_LOGIN_PAUSE = 5.0
_GROWTH = 1.4

# cloud-init writes the login's key, and our host key over the one the image made, some time after
# the SSH server is up.
_KEY_REFUSED_FOR = 60.0
_OTHER_HOST_KEY_FOR = 30.0
_NO_JUMP_FOR = 20.0  # what is wrong with the host in between is for the user to mend


def wait_for(
    target: Target, *, timeout: float, should_stop: Callable[[], str | None] | None = None
) -> Connection:
    """Wait until a machine that is booting lets us in.

    Parameters
    ----------
    target : Target
        The machine.
    timeout : float
        Seconds to wait at most.
    should_stop : callable, optional
        Asked between attempts; a reason that it returns ends the waiting.

    Raises
    ------
    ConnectionFailed
        It did not let us in within `timeout`; or refused our key for a minute; or `should_stop`
        had a reason. The message says how long and what the last attempt met.
    HostKeyMismatch
        It had another host key for half a minute.
    UsageError
        The private key cannot be used.
    """
    key = keys.load_private(target.key_path)
    begin = time.monotonic()
    limits = _Limits(begin, timeout)
    pause = _FIRST_PAUSE
    while True:
        left = max(0.2, begin + timeout - time.monotonic())
        try:
            return dial(target, key, timeout=min(_ATTEMPT, left), tcp_timeout=_TCP_ATTEMPT)
        except (CannotConnect, HostKeyMismatch) as error:
            last = error
        end, longest = limits.after(last)
        reason = should_stop() if should_stop else None
        now = time.monotonic()
        if reason:
            raise ConnectionFailed(target.alias, f"{reason.rstrip('.')}.") from last
        if now >= end:
            raise _gave_up(target, last, now - begin) from last
        time.sleep(min(pause, end - now))
        pause = min(pause * _GROWTH, longest)


class _Limits:
    """How long each kind of failure is borne, counted from the first of its kind in a row."""

    def __init__(self, begin: float, timeout: float) -> None:
        self._end = begin + timeout
        self._kind = ""
        self._since = begin

    def after(self, error: CannotConnect | HostKeyMismatch) -> tuple[float, float]:
        """Return until when to go on after this failure, and the longest pause."""
        kind, borne = _bearing(error)
        if kind != self._kind:
            self._kind, self._since = kind, time.monotonic()
        if borne is None:
            return self._end, _LONGEST_PAUSE
        return min(self._end, self._since + borne), _LONGEST_LOGIN_PAUSE


def _bearing(error: CannotConnect | HostKeyMismatch) -> tuple[str, float | None]:
    """Return the kind of a failure, and for how many seconds it may last (None: to the limit)."""
    if isinstance(error, HostKeyMismatch):
        return "host key", _OTHER_HOST_KEY_FOR
    if error.reason is Reason.KEY_REFUSED:
        return error.reason, _KEY_REFUSED_FOR
    if error.reason is Reason.NO_JUMP:
        return error.reason, _NO_JUMP_FOR
    return ("passing", None) if _may_pass(error) else (error.reason, 0.0)


def _may_pass(error: CannotConnect) -> bool:
    return error.reason not in {Reason.NOT_SSH, Reason.NO_COMMON_METHOD}


def _gave_up(
    target: Target, last: CannotConnect | HostKeyMismatch, waited: float
) -> ConnectionFailed | HostKeyMismatch:
    if isinstance(last, CannotConnect) and not _may_pass(last):
        return last
    reason = last.message.removeprefix(f"{target.alias}: ")
    kind = HostKeyMismatch if isinstance(last, HostKeyMismatch) else ConnectionFailed
    return kind(
        target.alias, f"SSH did not let us in within {waited:.0f} s; last, {reason}", last.hint
    )
