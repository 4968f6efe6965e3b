"""A program on a terminal of ours."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import termios
import time
from fcntl import ioctl

LIMIT = 120.0


class Terminal:
    """ssh on a terminal of ours."""

    def __init__(self, command: list[str], rows: int = 24, columns: int = 80) -> None:
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)
        self.resize(rows, columns)
        self.seen = ""

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

    def close(self) -> int:
        """Wait until ssh has ended; return its exit status."""
        try:
            while os.read(self.end, 65536):
                pass
        except OSError:
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.end)
        return os.waitstatus_to_exitcode(status)
