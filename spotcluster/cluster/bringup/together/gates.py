"""Where workers wait for the master."""

from __future__ import annotations

import threading

from spotcluster.cluster.bringup.failures import GivenUp
from spotcluster.errors import NodeError, SpotclusterError


class Gate:
    """Opens when the master has done something; the others wait at it."""

    def __init__(self, *, is_open: bool) -> None:
        self._event = threading.Event()
        self._error: SpotclusterError | None = None
        if is_open:
            self._event.set()

    def open(self) -> None:
        """Let everybody through."""
        self._event.set()

    def close(self) -> None:
        """Hold everybody up again: what the master had done went with its machine."""
        if self._error is None:
            self._event.clear()

    def fail(self, error: SpotclusterError) -> None:
        """Tell everybody that it will not open."""
        if not self._event.is_set():
            self._error = error
            self._event.set()

    @property
    def why_failed(self) -> str | None:
        """Why it will not open, if it will not."""
        return "given up, since the master failed." if self._error else None

    def wait(self, alias: str, what: str, timeout: float) -> None:
        """Wait until the master has done it.

        Raises
        ------
        NodeError
            The master failed, or took longer than `timeout` seconds.
        """
        if not self._event.wait(timeout):
            raise NodeError(alias, f"the master had not finished {what} after {timeout:.0f} s.")
        if self._error:
            raise GivenUp(alias, f"given up, since the master failed in {what}.")
