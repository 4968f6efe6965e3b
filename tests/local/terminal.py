"""A program on a terminal of ours."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl

import pyte

LIMIT = 120.0


class Terminal:
    """ssh on a terminal of ours."""

    def __init__(self, command: list[str], rows: int = 24, columns: int = 80) -> None:
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)
        self.resize(rows, columns)
        self.seen = ""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    def resize(self, rows: int, columns: int) -> None:
        ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def type(self, text: str) -> None:
        os.write(self.end, text.encode())

    def expect(self, text: str) -> None:
        deadline = time.monotonic() + LIMIT
        while text not in self.seen:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self.end], [], [], left)
            assert ready, f"waited for {text!r} and saw {self.seen!r}"
            self.seen += os.read(self.end, 65536).decode(errors="replace")
        self.seen = self.seen.partition(text)[2]

    def see(self, text: str, within: float = LIMIT) -> bool:
        """Wait until a text stands on the screen; tell whether it came to that."""
        deadline = time.monotonic() + within
        while text not in self.screen:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self.end], [], [], left)[0]:
                return False
            self._stream.feed(os.read(self.end, 65536))
        return True

    @property
    def screen(self) -> str:
        """What stood on the screen when it was last waited for something."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def close(self) -> int:
        """Wait until ssh has ended; return its exit status."""
        for _ in self._rest():
            pass
        return self._ended()

    def shown(self, lines: int = 1000) -> tuple[str, int]:
        """Wait until the program has ended; return what the screen shows then, and its status.

        That is what the terminal has made of all that was written, what has scrolled up too.
        """
        size = os.get_terminal_size(self.end)
        screen = pyte.HistoryScreen(size.columns, size.lines, history=lines, ratio=1)
        stream = pyte.ByteStream(screen)
        for part in self._rest():
            stream.feed(part)
        above = [
            "".join(row[column].data for column in range(size.columns))
            for row in screen.history.top
        ]
        text = "\n".join(line.rstrip() for line in [*above, *screen.display])
        return text, self._ended()

    def _rest(self) -> Iterator[bytes]:
        with contextlib.suppress(OSError):  # it has been closed at the other end
            while part := os.read(self.end, 65536):
                yield part

    def _ended(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        os.close(self.end)
        return os.waitstatus_to_exitcode(status)
