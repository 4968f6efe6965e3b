"""Programs that run on the master whoever listens: units of systemd's, or plain processes.

A program that is started here looks after itself: it writes down how it ended, and takes TERM as
the wish that it end. Services, which are to be started again, are `plugins.supervisor`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from spotcluster import templates
from spotcluster.cluster.node import Node


def start(node: Node, unit: str, command: Sequence[str]) -> None:
    """Start a program as the node's account, in its home; it outlives every connection.

    Where there is systemd and we can become root it is a transient unit, with all that it starts;
    elsewhere it is a process in a group of its own.

    Parameters
    ----------
    unit : str
        The unit's name, without a suffix.
    command : sequence of str
        The program, by its path, and its arguments.
    """
    account = node.account
    script = templates.script(
        "detach.sh",
        unit=unit,
        account=account.name,
        home=account.home,
        units=node.facts.has_units,
        command=command,
    )
    user = "root" if node.facts.has_units else account.name
    node.run(script, what=f"starting {unit}", timeout=60, user=user)
