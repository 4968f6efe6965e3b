"""One pip at a time changes this environment, though all engines of a node be told to run one.

Read whenever a Python of the environment starts, by a .pth file beside it.
"""

import os
import sys

TYPE_CHECKING = False  # typing would have to be imported whenever a Python starts
if TYPE_CHECKING:
    from typing import IO

_MARK = "SPOTCLUSTER_PIP"  # pip starts itself again, to build what it installs
_LIMIT = 1800  # seconds: the others may have to wait for the one that builds what all want


def _changes(words: "list[str]") -> bool:
    is_pip = words[:2] == ["-m", "pip"] or os.path.basename(words[0]).startswith("pip")  # noqa: PTH119 - pathlib takes longer to import
    return is_pip and not {"install", "uninstall"}.isdisjoint(words)


def _wait_for_others() -> "IO[str]":
    import fcntl
    import time

    held = open(os.path.join(sys.prefix, "pip.lock"), "a+")  # noqa: PTH118, PTH123, SIM115 - until it ends
    end = time.monotonic() + _LIMIT
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < end:
                time.sleep(0.1)
                continue
            held.seek(0)
            other = held.read() or "unknown"
            sys.stderr.write(
                f"pip has changed nothing: process {other} of {os.uname().nodename} has been"
                f" changing {sys.prefix} for {_LIMIT / 60:.0f} minutes. Wait until it is done, or"
                " end it, and run pip again.\n"
            )
            sys.stderr.flush()
            os._exit(1)  # an exception would be Python's, with a trace
        held.truncate(0)
        held.write(str(os.getpid()))
        held.flush()
        return held


if len(sys.orig_argv) > 1 and _MARK not in os.environ and _changes(sys.orig_argv[1:]):
    os.environ[_MARK] = "1"
    _held = _wait_for_others()
