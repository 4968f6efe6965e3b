"""One command on a channel: fed and drained in one loop, within a limit."""

from __future__ import annotations

import contextlib
import selectors
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import paramiko

from spotcluster.ssh.paramiko_private import send_message

_CHUNK = 32 * 1024
_TICK = 0.2
"""How often to look for what wakes nobody: an exit status, time running out."""
_FEEDING_TICK = 0.01
_QUIET = 2.0
"""Seconds without output after which an ended command is done, though something that it left in
the background still holds its output."""


@dataclass
class Exchange:
    """What a command printed, and how it ended.

    Attributes
    ----------
    status : int or None
        None when the channel ended without one: killed by a signal, or the connection was lost.
    chunks : list of (bool, bytes)
        The output in the order of arrival; True marks standard error.
    late : bool
        Whether the time was over first.
    """

    status: int | None = None
    chunks: list[tuple[bool, bytes]] = field(default_factory=list)
    late: bool = False

    @property
    def stdout(self) -> bytes:
        """Everything from standard output."""
        return b"".join(data for is_error, data in self.chunks if not is_error)

    @property
    def stderr(self) -> bytes:
        """Everything from standard error."""
        return b"".join(data for is_error, data in self.chunks if is_error)

    def in_order(self, stdout: slice, stderr: slice) -> bytes:
        """Return parts of both streams in the order of arrival, each piece on its own lines."""
        text = bytearray()
        begins = {False: 0, True: 0}
        last: bool | None = None
        for is_error, data in self.chunks:
            part = stderr if is_error else stdout
            begin = begins[is_error]
            begins[is_error] += len(data)
            piece = data[max(0, part.start - begin) : max(0, part.stop - begin)]
            if piece:
                if last not in (None, is_error) and not text.endswith(b"\n"):
                    text += b"\n"
                text += piece
                last = is_error
        return bytes(text)


def execute(channel: Any, line: str, stdin: bytes, *, ends: bool, deadline: float) -> Exchange:
    """Run a command line on a new channel until it ends or `deadline` (monotonic) has passed.

    Reading and writing share one loop: a command that prints before it has read its input, on
    either stream, cannot block us. `ends` tells whether the end of `stdin` is passed on: where the
    command does not need it, it is better left open, because some servers (asyncssh) take no
    signals after it.
    """
    with starting(channel, deadline):
        channel.exec_command(line)
    exchange = Exchange()
    rest = memoryview(stdin)
    last_output = time.monotonic()
    channel.setblocking(0)
    with selectors.DefaultSelector() as selector:
        selector.register(channel.fileno(), selectors.EVENT_READ)
        while True:
            rest = _feed(channel, rest, ends=ends)
            if _drain(channel, exchange):
                last_output = time.monotonic()
                continue
            now = time.monotonic()
            if _is_over(channel, quiet=now - last_output > _QUIET):
                break
            if now >= deadline:
                exchange.late = True
                break
            tick = _FEEDING_TICK if rest else _TICK
            if channel.eof_received:  # the selector would return at once
                channel.status_event.wait(tick)
            else:
                selector.select(min(tick, deadline - now))
    while _drain(channel, exchange):
        pass
    if channel.status_event.is_set() and channel.exit_status >= 0:
        exchange.status = channel.exit_status
    return exchange


def stream(
    channel: Any, line: str, *, silence: float, deadline: float
) -> Iterator[tuple[bool, bytes]]:
    """Run a command line on a new channel and yield what it prints as it comes.

    It may last for ever, and print any amount, of which nothing is kept; True marks standard error.
    While it prints nothing, an empty piece comes now and then, so that whoever reads can leave.
    `deadline` (monotonic) is for its start alone.

    Raises
    ------
    TimeoutError
        It printed nothing for `silence` seconds.
    """
    with starting(channel, deadline):
        channel.exec_command(line)
    arriving = Exchange()
    spoken = time.monotonic()
    channel.setblocking(0)
    with selectors.DefaultSelector() as selector:
        selector.register(channel.fileno(), selectors.EVENT_READ)
        while True:
            arrived = _drain(channel, arriving)
            yield from arriving.chunks
            arriving.chunks.clear()
            now = time.monotonic()
            if arrived:
                spoken = now
            elif _is_over(channel, quiet=now - spoken > _QUIET):
                return
            elif now - spoken > silence:
                raise TimeoutError
            elif channel.eof_received:  # the selector would return at once
                channel.status_event.wait(_TICK)
                yield False, b""
            else:
                selector.select(_TICK)
                yield False, b""


def kill(channel: Any) -> None:
    """Ask the SSH server to kill the process group of a command (RFC 4254, section 6.9).

    paramiko has no call for it. OpenSSH does it since 7.9, for processes of the login's own.
    """
    message = paramiko.Message()
    message.add_byte(paramiko.common.cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("signal")
    message.add_boolean(False)  # noqa: FBT003 - paramiko's signature: no reply wanted
    message.add_string("KILL")
    with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
        send_message(channel, message)


@contextlib.contextmanager
def starting(channel: Any, deadline: float) -> Iterator[None]:
    """Close the channel at `deadline`, to end a wait of paramiko's that has no limit of its own.

    Raises
    ------
    paramiko.SSHException
        The connection is lost; paramiko raises what its socket met as it is.
    """
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), channel.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    except OSError as error:
        raise paramiko.SSHException(str(error)) from error
    finally:
        timer.cancel()


def _feed(channel: Any, rest: memoryview, *, ends: bool) -> memoryview:
    """Send what the other end has room for, and after the last byte, the end."""
    with contextlib.suppress(OSError):  # it closed its input, which is its good right
        while rest and not channel.closed and channel.send_ready():
            sent = channel.send(bytes(rest[:_CHUNK]))
            if not sent:
                break
            rest = rest[sent:]
        if ends and not rest and not channel.eof_sent:
            channel.shutdown_write()
    return rest


def _drain(channel: Any, exchange: Exchange) -> bool:
    """Take what has arrived; return whether there was anything."""
    arrived = False
    if channel.recv_ready() and (data := channel.recv(_CHUNK)):
        exchange.chunks.append((False, data))
        arrived = True
    if channel.recv_stderr_ready() and (data := channel.recv_stderr(_CHUNK)):
        exchange.chunks.append((True, data))
        arrived = True
    return arrived


def _is_over(channel: Any, *, quiet: bool) -> bool:
    if channel.closed:
        return True
    ended = channel.status_event.is_set()
    return bool(ended and (channel.eof_received or quiet))
