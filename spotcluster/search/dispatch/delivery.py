"""Brings the split files of a search to a host, through one of its engines."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spotcluster import depots
from spotcluster.depots import Depot
from spotcluster.errors import SearchError
from spotcluster.search.backends.protocol import Backend, Fate, Pending, said
from spotcluster.search.data.splits import Bundle
from spotcluster.search.dispatch.spread import CLIENT, Spread
from spotcluster.search.engine import here, peer, prune, transfer

CHUNK = 4 << 20  # bytes that the client sends at once
PIECE = 16 << 20  # bytes that an engine gets elsewhere before it can do something else
IN_FLIGHT = 3  # pieces: one being written, one on the way, one waiting behind it
PATIENCE = 600.0  # seconds that a single call may wait: somebody else's task may be running there


class Delivery(threading.Thread):
    """The files of a bundle on their way to one host.

    Direct calls wait behind whatever the engine runs. That engine refuses this search's evaluations
    while the files are not there, so it waits for other people's work only.

    Attributes
    ----------
    problem : str
        Why it failed; empty while it goes on and when it succeeded.
    remark : str
        What the user should know though it goes on.
    over : bool
        Whether it has ended.
    moved : float
        When it last got an answer, on the monotonic clock.
    sent, fetched : int
        Bytes that came from the client, and from other hosts or the depot.
    """

    def __init__(
        self,
        backend: Backend,
        engine: int,
        node: str,
        bundle: Bundle,
        spread: Spread,
        search: str,
        ended: Callable[[], None],
    ) -> None:
        super().__init__(name=f"spotcluster delivery to {node}", daemon=True)
        self.engine = engine
        self.node = node
        self.problem = ""
        self.remark = ""
        self.sent = 0
        self.fetched = 0
        self.over = False
        self._ended = ended
        self.moved = time.monotonic()
        self._backend = backend
        self._bundle = bundle
        self._spread = spread
        self._search = search
        self._depot = depots.of(backend.client)
        self._upload = uuid.uuid4().hex
        self._given_up = threading.Event()
        self._to_erase: list[Pending] = []
        self._offering = False

    def give_up(self) -> None:
        """Stop after the answer that is being waited for, and have nobody wait for this host."""
        self._given_up.set()
        self._spread.left(self.node)

    def run(self) -> None:
        try:
            files = self._bundle.as_plain()
            missing = self._ask(here.locate, self._bundle.digest, files)
            if missing:
                self._bring({file["digest"]: file for file in files if file["digest"] in missing})
                if self._ask(here.locate, self._bundle.digest, files):
                    self.problem = "the files were sent and are not there"
            self._apply(prune.prune)
        except Exception as error:  # noqa: BLE001 - a client that is closed now may raise anything
            self.problem = said(error)
            self._clean_up()
        finally:
            self.over = True
            self._ended()

    def _bring(self, missing: dict[str, dict[str, Any]]) -> None:
        if self._depot is not None:
            try:
                for digest in list(missing):
                    self._from_depot(missing[digest], self._depot)
                    del missing[digest]
            except Exception as error:  # noqa: BLE001 - whatever it is, the cluster can do it
                self._go_on()
                self.remark = f"The bucket cannot be used, the cluster itself sends files: {error}"
        if not missing:
            return
        self._offering = True
        files = list(missing.values())
        offer = self._ask(peer.offer, self._search, self._bundle.digest, files)
        if offer is not None:
            self._spread.serves(self.node, self.engine, offer)
        while missing:
            digest, source = self._spread.choose(self.node, missing, self._go_on)
            with self._told(digest, source):
                if self._ask(transfer.wanted, digest, missing[digest]["size"]):
                    if source == CLIENT:
                        self._from_client(missing[digest])
                    else:
                        self._from_peer(missing[digest], source)
                del missing[digest]

    @contextlib.contextmanager
    def _told(self, digest: str, source: str) -> Iterator[None]:
        """Tell how it ended; a host that cannot be reached is not tried again, and no reason."""
        arrived = False
        try:
            yield
            arrived = True
        except SearchError:
            raise
        except Exception as error:
            if source == CLIENT or self._backend.fate(error) is not Fate.BROKEN:
                raise
        finally:
            self._spread.ended(self.node, digest, source, arrived=arrived)

    def _from_client(self, file: dict[str, Any]) -> None:
        def pieces() -> Iterator[Any]:
            offset = 0
            with Path(file["path"]).open("rb") as source:
                while chunk := source.read(CHUNK):
                    args = (file["digest"], self._upload, offset, chunk)
                    yield self._apply(transfer.receive, *args)
                    offset += len(chunk)

        size = self._take(pieces())
        self._put_in_place(file)
        self.sent += size

    def _from_peer(self, file: dict[str, Any], source: str) -> None:
        size = self._elsewhere(file, transfer.fetch, self._spread.offer(source))
        self._spread.passed_on(self.node, file["digest"], source)
        self._put_in_place(file)
        self.fetched += size

    def _from_depot(self, file: dict[str, Any], depot: Depot) -> None:
        with self._spread.uploading:
            depot.upload(file["path"], file["digest"])
        size = self._elsewhere(file, transfer.download, depot.url(file["digest"]))
        self._put_in_place(file)
        self.fetched += size

    def _elsewhere(self, file: dict[str, Any], how: Callable[..., Any], where: Any) -> int:
        def pieces() -> Iterator[Any]:
            for offset in range(0, file["size"], PIECE):
                length = min(PIECE, file["size"] - offset)
                yield self._apply(how, where, file["digest"], self._upload, offset, length)

        return self._take(pieces())

    def _take(self, pieces: Iterator[Any]) -> int:
        """Have the pieces of a file come, a few at a time; return how many bytes they have."""
        under_way: deque[Any] = deque()
        size = 0
        for piece in pieces:
            under_way.append(piece)
            if len(under_way) >= IN_FLIGHT:
                size += self._answer(under_way.popleft())
        while under_way:
            size += self._answer(under_way.popleft())
        return size

    def _put_in_place(self, file: dict[str, Any]) -> None:
        self._ask(transfer.complete, file["digest"], self._upload, file["size"])

    def _ask(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._answer(self._apply(function, *args))

    def _apply(self, function: Callable[..., Any], *args: Any) -> Pending:
        return self._backend.call(self.engine, function, *args)

    def _answer(self, pending: Pending) -> Any:
        try:
            answer = pending.result(PATIENCE)
        except TimeoutError:
            raise SearchError(
                f"Engine {self.engine} on {self.node} took no file for {PATIENCE:.0f} s."
            ) from None
        self._go_on()
        self._to_erase.append(pending)
        if self._backend.erase(self._to_erase):  # if not, it goes with the next
            self._to_erase = []
        return answer

    def _go_on(self) -> None:
        """Take note that this is no stand-still.

        Raises
        ------
        SearchError
            If it was given up.
        """
        if self._given_up.is_set():
            raise SearchError(f"The delivery to {self.node} was given up.")
        self.moved = time.monotonic()

    def _clean_up(self) -> None:
        # unless the engine has gone, or the client
        with contextlib.suppress(Exception):
            self._apply(transfer.discard, self._upload)
            if self._given_up.is_set() and self._offering:  # then nobody else knows of it
                self._apply(peer.withdraw, self._search)
