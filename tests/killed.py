"""The program, which ends as by kill -9 right before or after its k-th call or remote step.

::

    python killed.py K before|after COUNT_FILE start -c bare mycluster

How many calls and steps there were is written to COUNT_FILE by one that was not killed. Calls that
only read are not counted: how often it looks at EC2 depends on how long things take, and a number
that one run has learned would mean another moment in the next, or none.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spotcluster.aws import calls
from spotcluster.cli import main
from spotcluster.ssh.connection import Connection


def only_reads(operation: Any, *_: Any) -> bool:
    """Return whether a call changes nothing; a remote step may always change something."""
    name = getattr(operation, "__name__", "")
    return str(name).startswith(("describe_", "get_", "list_"))


class Counter:
    """Counts what is done, on any thread, and ends the process at one of it."""

    def __init__(self, last: int, side: str) -> None:
        self.last, self.side, self.number = last, side, 0
        self.lock = threading.Lock()

    def counting(self, do: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            if only_reads(*args):
                return do(*args, **named)
            with self.lock:
                self.number += 1
                is_last = self.number == self.last
            if is_last and self.side == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return do(*args, **named)
            finally:
                if is_last:
                    os.kill(os.getpid(), signal.SIGKILL)

        return counted


if __name__ == "__main__":
    _, number, side, count_file, *words = sys.argv
    counter = Counter(int(number), side)
    calls._once = counter.counting(calls._once)
    Connection.run = counter.counting(Connection.run)  # type: ignore[method-assign]
    Connection.run_each = counter.counting(Connection.run_each)  # type: ignore[method-assign]
    status = main.run(words)
    Path(count_file).write_text(str(counter.number))
    sys.exit(status)
