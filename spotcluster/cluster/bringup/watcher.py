"""One describe call for all nodes that wait for their instance to run."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Self

from spotcluster.aws import instances
from spotcluster.aws.instances import Instance
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError, CredentialsError, NodeError

POLL = 1.0
"""Seconds between two describe calls; grows to five times this while nothing happens."""

_PAGE = 1000  # instances that EC2 shows in one answer
_NOT_WELL = (*instances.STOPPED, "shutting-down", "terminated")


class Watcher:
    """Describes a cluster's instances for as long as it is open as a context manager."""

    def __init__(self, session: Session, cluster: str) -> None:
        self._session = session
        self._cluster = cluster
        self._seen: dict[str, Instance] = {}
        self._named: tuple[dict[str, Instance], dict[str, list[Instance]]] = ({}, {})
        self._discarded: set[str] = set()
        self._coming_back: set[str] = set()
        self._waiting = 0
        self._error: CloudError | None = None
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._look = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._look.set()

    def latest(self, instance_id: str) -> Instance | None:
        """Return what was last seen of an instance; None before EC2 shows it."""
        return self._seen.get(instance_id)

    def discard(self, instance_id: str) -> None:
        """Note that we have terminated an instance, whatever EC2 shows of it for a while."""
        self._discarded.add(instance_id)

    def comes_back(self, instance_id: str) -> None:
        """Note that we are starting an instance that EC2 may show as stopped for a while yet."""
        self._coming_back.add(instance_id)

    def rival(self, instance: Instance) -> Instance | None:
        """Return an older instance that has the same name in the cluster, None if there is none.

        The client token prevents that, as long as EC2 knows it; of two that come to be all the
        same, everybody agrees that the older one stays.
        """
        mine = (instance.launched, instance.id)
        for other in self._by_name().get(instance.alias, ()):
            if (
                other.state in instances.PRESENT
                and other.id not in self._discarded
                and (other.launched, other.id) < mine
            ):
                return other
        return None

    def _by_name(self) -> dict[str, list[Instance]]:
        """Return what was last seen, by name; worked out once for all who ask."""
        of, named = self._named
        seen = self._seen
        if of is not seen:
            named = {}
            for one in seen.values():
                named.setdefault(one.alias, []).append(one)
            self._named = (seen, named)
        return named

    def lost(self, instance_id: str) -> str | None:
        """Say why an instance will not run any more; None while it may."""
        seen = self._seen.get(instance_id)
        if seen is None or seen.state in ("pending", "running"):
            return None
        if seen.state in instances.STOPPED and instance_id in self._coming_back:
            return None
        return f"its instance {seen.id} is {seen.state}" + (
            f" ({seen.reason})" if seen.reason else ""
        )

    def wait_running(
        self,
        alias: str,
        instance_id: str,
        *,
        timeout: float,
        should_stop: Callable[[], str | None] = lambda: None,
    ) -> Instance:
        """Wait until an instance runs and has an address; `should_stop` may say why to give up.

        Raises
        ------
        NodeError
            It has ended instead, or did not run within `timeout` seconds.
        CredentialsError
            EC2 does not take our credentials any more.
        """

        def running(seen: Instance | None) -> Instance | None:
            if seen and seen.state == "running" and seen.address:
                return seen
            if why := self.lost(instance_id):
                raise NodeError(alias, f"{why} before it ran.")
            return None

        if not (seen := self._seen.get(instance_id)) or seen.state != "running":
            self._look.set()  # there is something new to see
        return self._wait(alias, instance_id, running, timeout, should_stop)

    def wait_stopped(
        self,
        alias: str,
        instance_id: str,
        *,
        timeout: float,
        should_stop: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Wait until an instance that is stopping has stopped, so that it can be started.

        Raises
        ------
        NodeError
            It has ended instead, or had not stopped within `timeout` seconds.
        CredentialsError
            EC2 does not take our credentials any more.
        """

        def stopped(seen: Instance | None) -> Instance | None:
            if seen and seen.state in ("stopped", "pending", "running"):
                return seen
            if seen and seen.state != "stopping":
                raise NodeError(alias, f"{self.lost(instance_id)} and cannot be started.")
            return None

        self._wait(alias, instance_id, stopped, timeout, should_stop)

    def _wait(
        self,
        alias: str,
        instance_id: str,
        wanted: Callable[[Instance | None], Instance | None],
        timeout: float,
        should_stop: Callable[[], str | None],
    ) -> Instance:
        """Wait until an instance is as `wanted`, which is given what EC2 shows, and return it."""
        end = time.monotonic() + timeout
        with self._changed, self._waits():
            while True:
                seen = self._seen.get(instance_id)
                if found := wanted(seen):
                    return found
                if why := should_stop():
                    raise NodeError(alias, why)
                self._check_credentials()
                left = end - time.monotonic()
                if left <= 0:
                    raise NodeError(alias, self._too_late(instance_id, seen, timeout))
                self._changed.wait(min(left, POLL))

    @contextlib.contextmanager
    def _waits(self) -> Iterator[None]:
        """Count who waits, in the block."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def _check_credentials(self) -> None:
        """Give up at once where EC2 takes our credentials no more: no waiting brings them back."""
        if isinstance(self._error, CredentialsError):
            raise self._error

    def _too_late(self, instance_id: str, seen: Instance | None, timeout: float) -> str:
        state = seen.state if seen else "not shown by EC2"
        text = (
            f"its instance {instance_id} was still {state} after {timeout:.0f} s (LAUNCH_TIMEOUT)."
        )
        return text + (f" EC2 said last: {self._error}" if self._error else "")

    def _describe(self) -> dict[str, Instance]:
        """Return the instances there are; where nobody waits for one to run, those that do not.

        Then all that is asked is which have been lost, and a thousand that are well are many bytes.
        """
        if self._waiting or not self._seen:
            return {one.id: one for one in instances.describe(self._session, self._cluster)}
        ended = instances.describe(self._session, self._cluster, states=_NOT_WELL)
        # Only from all of them follows what each is called.
        return {
            one.id: replace(one, tags=before.tags, provisional=before.provisional)
            for one in ended
            if (before := self._seen.get(one.id))
        }

    def _watch(self) -> None:
        pause = POLL / 2
        while not self._stop.is_set():
            begin = time.monotonic()
            try:
                found = self._describe()
                self._error = None
            except CloudError as error:  # the limit of whoever waits decides, not one bad answer
                found = {}
                self._error = error
            with self._changed:
                changed = any(self._seen.get(key) != one for key, one in found.items())
                self._seen = {**self._seen, **found}
                if not self._waiting:  # only for who asks whether one is lost; tags change often
                    pause = 5 * POLL
                elif changed:
                    # Of many, something happens to one of them between any two looks.
                    pause = POLL * min(5.0, max(0.5, 5 * len(self._seen) / _PAGE))
                self._coming_back -= {
                    key for key, one in found.items() if one.state in ("pending", "running")
                }
                self._changed.notify_all()
            # To look at a thousand takes a second of the processor that their threads need.
            self._stop.wait(time.monotonic() - begin)
            self._look.wait(pause)
            self._look.clear()
            pause = min(pause * 1.3, 5 * POLL)
