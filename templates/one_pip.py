"""One pip at a time changes this environment, though all engines of a node be told to run one.

Read whenever a Python of the environment starts, by a .pth file beside it.
"""

import os
import sys

_MARK = "SPOTCLUSTER_PIP"  # pip starts itself again, to build what it installs


def _changes(words: "list[str]") -> bool:
    is_pip = words[:2] == ["-m", "pip"] or os.path.basename(words[0]).startswith("pip")  # noqa: PTH119 - pathlib takes longer to import
    return is_pip and not {"install", "uninstall"}.isdisjoint(words)


if len(sys.orig_argv) > 1 and _MARK not in os.environ and _changes(sys.orig_argv[1:]):
    import fcntl

    os.environ[_MARK] = "1"
    _held = open(os.path.join(sys.prefix, "pip.lock"), "a")  # noqa: PTH118, PTH123, SIM115 - until it ends
    fcntl.flock(_held, fcntl.LOCK_EX)
