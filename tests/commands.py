"""The program as a user runs it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import programs

PROGRAM = (sys.executable, "-m", "spotcluster")


def cli(*words: str, status: int = 0, timeout: float = 600) -> str:
    """Run the program; return its standard output, or standard error if it is to fail."""
    done = programs.run([*PROGRAM, *words], timeout=timeout)
    assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout if status == 0 else done.stderr


def nodes(name: str) -> dict[str, dict[str, Any]]:
    """Return the nodes of a cluster by alias, as ``listclusters --json`` has them.

    Without those that are being ended: `removenode` does not wait until a machine is gone.
    """
    (found,) = json.loads(cli("listclusters", "--json", name))
    return nodes_of(found)


def nodes_of(listed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the nodes of one of the clusters of ``listclusters --json``, as `nodes` does."""
    return {one["alias"]: one for one in listed["nodes"] if one["state"] != "shutting-down"}


def wait_until(what: str, true: Callable[[], Any], timeout: float = 240) -> Any:
    """Wait until something is true, and return it; say what, when it does not become so.

    The longer it waits, the more seldom it looks: a look may take a command, or all processes.
    """
    began = time.monotonic()
    while not (found := true()):
        waited = time.monotonic() - began
        assert waited < timeout, f"waited {timeout} s for: {what}"
        time.sleep(min(max(0.05, waited / 20), 0.25))
    return found
