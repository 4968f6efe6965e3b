"""One SSH session on a local host: a shell or a command, with or without a terminal.

asyncssh's own redirection to a process is not used: it can wait for ever for a pipe whose other end
a background process keeps, and logs an error when a client goes away in the middle.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh

from .children import Children, signal_session

_CHUNK = 64 * 1024
_END_OF_FILE = b"\x04"
_AFTER_SHELL = 0.3
"""Seconds for a terminal's last output; after that, what runs on keeps no session open."""


class Session:
    """Runs the command of one session and passes its data, signals and status on."""

    def __init__(
        self,
        process: asyncssh.SSHServerProcess[bytes],
        children: Children,
        environment: dict[str, str],
        home: Path,
    ) -> None:
        self._process = process
        self._children = children
        self._environment = environment
        self._home = home
        self._pid = 0
        self._master: int | None = None

    async def run(self) -> None:
        """Run until the command has ended and its output is sent, or the client has gone."""
        shell = self._environment["SHELL"]
        command = self._process.command
        if command is None:
            # A leading dash is how a shell knows that it is a login shell.
            arguments = [f"-{Path(shell).name}"]
        else:
            arguments = [Path(shell).name, "-c", command]
        try:
            if self._process.term_type is not None:
                await self._run_on_terminal(shell, arguments)
            else:
                await self._run_on_pipes(shell, arguments)
        except OSError as error:
            self._process.stderr.write(f"{error}\n".encode())
            self._process.exit(126)

    async def _run_on_pipes(self, shell: str, arguments: list[str]) -> None:
        (in_read, in_write), (out_read, out_write), (err_read, err_write) = (
            os.pipe() for _ in range(3)
        )
        try:
            self._pid, ended = self._children.spawn(
                arguments,
                program=shell,
                environment=self._environment,
                folder=self._home,
                streams=(in_read, out_write, err_write),
            )
        except BaseException:
            for end in (in_write, out_read, err_read):
                os.close(end)
            raise
        finally:
            for end in (in_read, out_write, err_write):
                os.close(end)
        pipes = [await _reader(out_read), await _reader(err_read)]
        writer = await _writer(in_write)
        feeding = asyncio.ensure_future(self._feed(writer))
        pumping = asyncio.gather(
            _pump(pipes[0][0], self._process.stdout),
            _pump(pipes[1][0], self._process.stderr),
        )
        try:
            # As with sshd, the session lasts until the command has ended and nobody holds its
            # output any more.
            if await self._unless_gone(ended) and await self._unless_gone(pumping):
                self._exit(ended.result())
        finally:
            # The client may be gone while the command runs on, as one started with nohup should.
            feeding.cancel()
            pumping.cancel()
            writer.close()
            for _, transport in pipes:
                transport.close()

    async def _run_on_terminal(self, shell: str, arguments: list[str]) -> None:
        master, slave = os.openpty()
        self._master = master
        try:
            _set_modes(slave, self._process.term_modes)
            self._resize(*self._process.term_size)
            self._environment["TERM"] = self._process.term_type or "dumb"
            self._environment["SSH_TTY"] = os.ttyname(slave)
            self._pid, ended = self._children.spawn(
                arguments,
                program=shell,
                environment=self._environment,
                folder=self._home,
                streams=(slave, slave, slave),
                prepare=_take_terminal,
            )
        except BaseException:
            os.close(master)
            raise
        finally:
            os.close(slave)
        writer = await _writer(os.dup(master))
        reader, transport = await _reader(os.dup(master))
        feeding = asyncio.ensure_future(self._feed(writer))
        pumping = asyncio.ensure_future(_pump(reader, self._process.stdout))
        try:
            if await self._unless_gone(ended):
                await asyncio.wait([pumping], timeout=_AFTER_SHELL)
                self._exit(ended.result())
            elif not ended.done():
                signal_session(self._pid, "HUP")
        finally:
            feeding.cancel()
            pumping.cancel()
            self._master = None
            writer.transport.abort()
            transport.close()
            # With its last end closed, the terminal hangs up on whatever still runs on it.
            os.close(master)

    async def _unless_gone(self, work: asyncio.Future[Any]) -> bool:
        """Wait for `work`; False when the client went away first."""
        gone = asyncio.ensure_future(self._process.wait_closed())
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        return work.done()

    async def _feed(self, writer: asyncio.StreamWriter) -> None:
        """Pass what the client sends to the command until either ends."""
        with contextlib.suppress(ConnectionError, asyncssh.Error):
            while True:
                try:
                    data = await self._process.stdin.read(_CHUNK)
                except asyncssh.TerminalSizeChanged as size:
                    self._resize(size.width, size.height, size.pixwidth, size.pixheight)
                    continue
                except asyncssh.SignalReceived as received:
                    signal_session(self._pid, received.signal)
                    continue
                except asyncssh.BreakReceived:
                    signal_session(self._pid, "INT")
                    continue
                if not data:
                    break
                writer.write(data)
                await writer.drain()
            if self._master is not None:
                writer.write(_END_OF_FILE)
                await self._sizes_after_end()
            else:
                writer.close()
                await self._sizes_after_end()

    async def _sizes_after_end(self) -> None:
        """Go on taking signals and sizes when the client has no more input."""
        while True:
            try:
                if not await self._process.stdin.read(_CHUNK):
                    return
            except asyncssh.TerminalSizeChanged as size:
                self._resize(size.width, size.height, size.pixwidth, size.pixheight)
            except asyncssh.SignalReceived as received:
                signal_session(self._pid, received.signal)
            except asyncssh.BreakReceived:
                signal_session(self._pid, "INT")

    def _resize(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        if self._master is not None:
            size = struct.pack("HHHH", height or 24, width or 80, pixwidth, pixheight)
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def _exit(self, status: int) -> None:
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name.removeprefix("SIG")
            self._process.exit_with_signal(name, os.WCOREDUMP(status))
        else:
            self._process.exit(os.WEXITSTATUS(status))


async def _pump(reader: asyncio.StreamReader, writer: asyncssh.SSHWriter[bytes]) -> None:
    """Pass output to the client until nobody can write to it any more, or the client has gone."""
    # Linux says EIO when the last process has left a terminal.
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def _reader(end: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(end, "rb", buffering=0))
    return reader, transport


async def _writer(end: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    make: Callable[[], asyncio.streams.FlowControlMixin] = asyncio.streams.FlowControlMixin
    transport, protocol = await loop.connect_write_pipe(make, os.fdopen(end, "wb", buffering=0))
    return asyncio.StreamWriter(transport, protocol, None, loop)


def _take_terminal() -> None:
    """Make standard input the controlling terminal: runs in the child, in its new session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


# RFC 4254, section 8: the client's terminal modes that change what the user sees.
_CONTROL = {
    1: termios.VINTR,
    2: termios.VQUIT,
    3: termios.VERASE,
    4: termios.VKILL,
    5: termios.VEOF,
    10: termios.VSUSP,
}
_FLAGS = {
    36: (0, termios.ICRNL),
    38: (0, termios.IXON),
    50: (3, termios.ISIG),
    51: (3, termios.ICANON),
    53: (3, termios.ECHO),
    54: (3, termios.ECHOE),
    55: (3, termios.ECHOK),
    70: (1, termios.OPOST),
    72: (1, termios.ONLCR),
}


def _set_modes(slave: int, modes: Any) -> None:
    attributes = termios.tcgetattr(slave)
    for code, value in modes.items():
        if code in _CONTROL and 0 < value < 255:
            attributes[6][_CONTROL[code]] = bytes([value])
        elif code in _FLAGS:
            index, flag = _FLAGS[code]
            attributes[index] = attributes[index] | flag if value else attributes[index] & ~flag
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
