"""Where nodes wait for each other at a plugin that sets up all of them at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from spotcluster.cluster.bringup.failures import GivenUp
from spotcluster.cluster.node import Node
from spotcluster.errors import NodeError, SpotclusterError

_STEP = 0.2


@dataclass(eq=False)
class _Round:
    """Those who are set up together, and what came of it."""

    nodes: list[Node] = field(default_factory=list)
    done: bool = False
    error: SpotclusterError | None = None


class Gathering:
    """Lets nodes go on together.

    Parameters
    ----------
    name : str
        The plugin's.
    coming : callable
        Returns the names of the nodes that are on their way, here or past here.
    """

    def __init__(self, name: str, coming: Callable[[], AbstractSet[str]]) -> None:
        self._name = name
        self._coming = coming
        self._passed: set[str] = set()
        self._open = _Round()
        self._changed = threading.Condition()

    def failed(self, alias: str) -> None:
        """Wait for a node again that had been here: its machine has failed since."""
        with self._changed:
            self._passed.discard(alias)

    def join(
        self,
        node: Node,
        do: Callable[[Sequence[Node]], None],
        *,
        timeout: float,
        should_stop: Callable[[], str | None],
    ) -> None:
        """Wait until all are here that still come, and have one of them do it for all.

        Where `do` raises an error that names one of them, it is that one's, and the others wait for
        what becomes of it, then do it again.

        Raises
        ------
        SpotclusterError
            It failed on this node, or on none in particular.
        """
        end = time.monotonic() + timeout
        while True:
            own, leads = self._wait(node, end, timeout, should_stop)
            if leads:
                self._do(own, do)
            if own.error is None:
                return
            there = {one.alias for one in own.nodes}
            if not isinstance(own.error, NodeError) or own.error.alias not in there:
                masters = [one.alias for one in own.nodes if one.is_master]
                if node.alias in masters or (leads and not masters):
                    raise own.error
                raise GivenUp(node.alias, f"given up, since plugin {self._name} failed.")
            if own.error.alias == node.alias:
                raise own.error

    def _wait(
        self,
        node: Node,
        end: float,
        timeout: float,
        should_stop: Callable[[], str | None],
    ) -> tuple[_Round, bool]:
        """Return the round that this node is in, when it is over, or is to be led by this node."""
        with self._changed:
            self._passed.discard(node.alias)
            own = self._open
            own.nodes.append(node)
            comes = True
            while not own.done:
                if own is self._open:
                    # The last to come sees it; that others come no more the first sees for all.
                    if (comes or node is own.nodes[0]) and self._all_here(own):
                        self._open = _Round()
                        return own, True
                    comes = False
                    why = should_stop()
                    if why is None and time.monotonic() >= end:
                        why = f"plugin {self._name} waited {timeout:.0f} s for other nodes."
                    if why:
                        own.nodes.remove(node)
                        raise GivenUp(node.alias, why)
                self._changed.wait(_STEP)
            return own, False

    def _all_here(self, own: _Round) -> bool:
        return self._coming() - self._passed <= {one.alias for one in own.nodes}

    def _do(self, own: _Round, do: Callable[[Sequence[Node]], None]) -> None:
        error: SpotclusterError | None = None
        try:
            do(own.nodes)
        except SpotclusterError as caught:
            error = caught
        with self._changed:
            if error is None:
                self._passed.update(one.alias for one in own.nodes)
            own.error = error
            own.done = True
            self._changed.notify_all()
