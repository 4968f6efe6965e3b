"""Make docs/demo.svg: run `spotcluster demo` in a terminal and keep what it shows.

Usage: python docs/picture.py (needs pyte; Linux or macOS)
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

COLUMNS, LINES = 96, 30
FOUR = re.compile(r"by node:( +\S+ \d+){4}")  # the fourth node has done evaluations


def main() -> None:
    """Run the demo; the picture is of the moment when the fourth node works and one leaves."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(LINES))
        os.execv(sys.executable, [sys.executable, "-m", "spotcluster", "demo"])
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
        if "removenode" in shown and FOUR.search(shown):
            due = due or time.monotonic() + 6.0
            if best is None and time.monotonic() >= due:
                best = _text(screen)
    os.waitpid(pid, 0)
    if best is None:
        sys.exit("the demo never showed the fourth node at work")
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(best)
    drawn = console.export_svg(title="spotcluster demo")
    # The fonts would be fetched from elsewhere by whoever looks at it.
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    Path(__file__).with_name("demo.svg").write_text(drawn)


def _text(screen: pyte.Screen) -> Text:
    """Return the screen as text with its colours."""
    lines = []
    for row in range(LINES):
        line = Text()
        cells = [screen.buffer[row][column] for column in range(COLUMNS)]
        for look, run in groupby(cells, key=lambda cell: (cell.fg, cell.bold)):
            line.append("".join(cell.data for cell in run), _style(*look))
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return Text("\n").join(lines)


def _style(colour: str, bold: bool) -> Style:
    if colour == "default":
        return Style(bold=bold)
    is_hex = re.fullmatch("[0-9a-f]{6}", colour)
    return Style(color=f"#{colour}" if is_hex else colour.replace("brown", "yellow"), bold=bold)


if __name__ == "__main__":
    main()
