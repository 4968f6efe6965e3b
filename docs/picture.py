"""Make docs/demo.svg: run `spotcluster demo` in a terminal and keep what it shows.

Usage: python docs/picture.py (needs pyte; Linux or macOS)
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

COLUMNS, LINES = 96, 30
MOMENT = "node003 "  # the newcomer has done evaluations


def main() -> None:
    """Run the demo; the picture is of the moment when the fourth node works and one leaves."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(LINES))
        os.execv(sys.executable, [sys.executable, "-m", "spotcluster", "demo"])  # noqa: S606 - no shell
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    best: Text | None = None
    due = 0.0
    while True:
        if select.select([terminal], [], [], 1.0)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            stream.feed(data)
        shown = "\n".join(screen.display)
        if "removenode" in shown and MOMENT in shown.split("by node:")[-1]:
            due = due or time.monotonic() + 6.0
            if best is None and time.monotonic() >= due:
                best = _text(screen)
    os.waitpid(pid, 0)
    if best is None:
        sys.exit("the demo never showed the fourth node at work")
    console = Console(record=True, width=COLUMNS, file=Path(os.devnull).open("w"))  # noqa: SIM115
    console.print(best)
    target = Path(__file__).with_name("demo.svg")
    console.save_svg(str(target), title="spotcluster demo")


def _text(screen: pyte.Screen) -> Text:
    """Return the screen as text with its colours."""
    lines = []
    for row in range(LINES):
        line = Text()
        for column in range(COLUMNS):
            cell = screen.buffer[row][column]
            colour = None if cell.fg == "default" else cell.fg.replace("brown", "yellow")
            if colour and len(colour) == 6 and all(c in "0123456789abcdef" for c in colour):
                colour = f"#{colour}"
            line.append(cell.data, Style(color=colour, bold=cell.bold))
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return Text("\n").join(lines)


if __name__ == "__main__":
    main()
