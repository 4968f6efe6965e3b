"""Brings the split files of a search to a host, through one of its engines."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipyparallel

from spotcluster.errors import SearchError
from spotcluster.search import shipping
from spotcluster.search.splits import Bundle

CHUNK = 4 << 20
IN_FLIGHT = 3  # pieces: one being written, one on the way, one waiting in the controller
PATIENCE = 600.0  # seconds that a single call may wait: somebody else's task may be running there


class Delivery(threading.Thread):
    """The files of a bundle on their way to one host.

    Direct calls wait behind whatever the engine runs. That engine refuses this search's evaluations
    while the files are not there, so it waits for other people's work only.

    Attributes
    ----------
    problem : str
        Why it failed; empty while it goes on and when it succeeded.
    over : bool
        Whether it has ended.
    moved : float
        When it last got an answer, on the monotonic clock.
    """

    def __init__(
        self, client: Any, engine: int, node: str, bundle: Bundle, ended: Callable[[], None]
    ) -> None:
        super().__init__(name=f"spotcluster delivery to {node}", daemon=True)
        self.engine = engine
        self.node = node
        self.problem = ""
        self.sent = 0
        self.over = False
        self._ended = ended
        self.moved = time.monotonic()
        self._client = client
        self._bundle = bundle
        self._upload = uuid.uuid4().hex
        self._given_up = threading.Event()
        self._to_purge: list[str] = []

    def give_up(self) -> None:
        """Stop after the answer that is being waited for."""
        self._given_up.set()

    def run(self) -> None:
        try:
            files = self._bundle.as_plain()
            missing = self._ask("locate", self._bundle.digest, files)
            if missing:
                for file in files:
                    if file["digest"] in missing:
                        self._send(file)
                if self._ask("locate", self._bundle.digest, files):
                    self.problem = "the files were sent and are not there"
            self._apply("engine_prune.prune")
        except Exception as error:  # noqa: BLE001 - a client that is closed now may raise anything
            self.problem = f"{type(error).__name__}: {error}".splitlines()[0]
            self._clean_up()
        finally:
            self.over = True
            self._ended()

    def _send(self, file: dict[str, Any]) -> None:
        under_way: deque[Any] = deque()
        offset = 0
        with Path(file["path"]).open("rb") as source:
            while chunk := source.read(CHUNK):
                if len(under_way) >= IN_FLIGHT:
                    self._answer(under_way.popleft())
                args = ("receive", file["digest"], self._upload, offset, chunk)
                under_way.append(self._apply(*args))
                offset += len(chunk)
                self.sent += len(chunk)
        while under_way:
            self._answer(under_way.popleft())
        self._ask("complete", file["digest"], self._upload, file["size"])

    def _ask(self, *args: Any) -> Any:
        return self._answer(self._apply(*args))

    def _apply(self, *args: Any) -> Any:
        return shipping.send(self._client[self.engine], *args)

    def _answer(self, pending: Any) -> Any:
        try:
            answer = pending.get(PATIENCE)
        except TimeoutError:
            raise SearchError(
                f"Engine {self.engine} on {self.node} took no file for {PATIENCE:.0f} s."
            ) from None
        if self._given_up.is_set():
            raise SearchError(f"The delivery to {self.node} was given up.")
        self.moved = time.monotonic()
        self._purge(pending)
        return answer

    def _purge(self, pending: Any) -> None:
        # The controller keeps every message, with its content, for clients that come back. It may
        # not have seen the end of this one yet, and says so; then it goes with the next.
        self._to_purge += pending.msg_ids
        try:
            self._client.purge_hub_results(self._to_purge)
        except (ipyparallel.error.IPythonError, OSError, IndexError):
            return
        self._to_purge = []

    def _clean_up(self) -> None:
        # unless the engine has gone, or the client
        with contextlib.suppress(Exception):
            self._apply("discard", self._upload)
