"""Programs in namespaces of their own, which end with whoever started them, however that ends."""

from __future__ import annotations

from collections.abc import Sequence


def contained(command: Sequence[str], *, network: bool) -> list[str]:
    """Return the command that runs `command` in new namespaces of processes and mounts.

    It must be started by a thread that lives as long as it is to run. unshare ends with that
    thread; its child, process 1 in there, ends with unshare, and everything else with process 1.

    Parameters
    ----------
    network : bool
        Whether the network is a new one too.
    """
    return [
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"),
        *("--mount-proc", *(["--net"] if network else [])),
        # bash, since a process 1 must reap those that nobody waits for.
        *("bash", "-c", '"$@"; exit $?', "bash", *command),
    ]
