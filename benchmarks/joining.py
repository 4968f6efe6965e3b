"""Hosts that join all at once and have none of the split files: how long until all have them.

Usage: python benchmarks/joining.py [HOSTS] [ROUNDS] [--files N] [--against CHECKOUT]

Hosts are processes with a store of their own, and links of so many bytes a second each way: what
they serve and what they get waits for its turn, and so does what the client sends. It stands for
400 MB and links of 1 Gbit/s: so that two cores carry what fifty hosts do, sizes are a fortieth of
that, and links slower by four times as much. The ratio to one host is what counts. Deliveries, the
choice of sources, encryption and digests are the search's own; instead of ipyparallel's controller
a pipe leads to each host. ``--against`` measures another checkout's search in the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import math
import multiprocessing
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from _bench import show, spread, verdict

HERE = Path(__file__).resolve().parents[1]
SCALE, SLOWER = 40, 4
SIZE = 400_000_000 // SCALE  # bytes of all files
LINK = 125_000_000 // SCALE // SLOWER  # bytes a second, each way
LIMIT = 8.0  # times one host's time, for fifty
PATIENCE = 300.0


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hosts", nargs="?", type=int, default=50)
    parser.add_argument("rounds", nargs="?", type=int, default=3)
    parser.add_argument("--files", type=int, default=5, help="into which the data is split")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.once:
        print(json.dumps(once(given.hosts, given.files)))
        return
    sides = {"this version": HERE}
    if given.against:
        sides[str(given.against)] = given.against.resolve()
    rows, ratios = [], {}
    for name, checkout in sides.items():
        ratios[name] = []
        for _ in range(given.rounds):
            one, all_of_them = (apart(checkout, n, given.files) for n in (1, given.hosts))
            ratios[name].append(all_of_them["seconds"] / one["seconds"])
        rows.append(
            (
                name,
                f"{spread(ratios[name])} times one host's {one['seconds']:.1f} s;"
                f" the client sent {all_of_them['sent'] / SIZE:.2f} times the files",
            )
        )
    doubling = math.log2(given.hosts)
    show(
        f"{given.files} files of {SIZE / 1e6:.0f} MB in all on {given.hosts} hosts at once,"
        f" links of {LINK * 8e-6:.1f} Mbit/s: times one host",
        rows,
        f"log2({given.hosts}) is {doubling:.1f}",
        verdict("against one host", statistics.median(ratios["this version"]), LIMIT),
    )


def apart(checkout: Path, hosts: int, files: int) -> dict[str, float]:
    """Measure the search of a checkout, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, str(hosts), f"--files={files}", "--once"],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def once(hosts: int, files: int) -> dict[str, float]:
    """Bring the files to so many hosts; return the seconds until the last has them."""
    with (
        tempfile.TemporaryDirectory(prefix="scb-") as folder,
        cluster(Path(folder), hosts) as client,
    ):
        from spotcluster.search.dispatch import delivery
        from spotcluster.search.dispatch.spread import Spread

        delivery.CHUNK //= SCALE
        delivery.PIECE //= SCALE
        bundle = written(Path(folder), files)
        shared = Spread()
        engines = engines_of(client)
        begin = time.perf_counter()
        deliveries = [
            delivery.Delivery(
                *(engines, n, f"node{n:03}", bundle, shared, "search"), ended=lambda: None
            )
            for n in range(hosts)
        ]
        for one in deliveries:
            one.start()
        for one in deliveries:
            one.join(PATIENCE)
            assert one.over, f"{one.node} has no files after {PATIENCE:.0f} s"
            assert not one.problem, one.problem
        took = time.perf_counter() - begin
        sent = sum(one.sent for one in deliveries)
    return {"seconds": took, "sent": sent}


def engines_of(client: Client) -> Any:
    """Return what deliveries are given; those of former versions get the client."""
    try:
        from spotcluster.search.backends.ipyparallel import IPyParallel
    except ImportError:
        return client

    class Backend(IPyParallel):
        """Asks hosts instead of ipyparallel's engines, and knows errors as these have them."""

        def call(self, engine: int, function: Callable[..., Any], *args: Any) -> Answer:
            name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
            return client[engine].ask(name, *args)

        def erase(self, _: Any) -> bool:
            return True  # nothing is kept

    return Backend(SimpleNamespace(client=client, targets=None))


def written(folder: Path, files: int) -> Any:
    """Write files that no host sees under the names that it is told."""
    plain = []
    for n in range(files):
        content = os.urandom(SIZE // files)
        path = folder / f"{n}.pkl"
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        plain.append({"path": f"/proc/self/cwd/{n}.pkl", "size": len(content), "digest": digest})
    os.chdir(folder)  # only here: a path that each process resolves for itself
    return SimpleNamespace(digest="bundle", as_plain=lambda: plain)


class Link:
    """A line in one direction: what goes through it waits until it is through."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = 0.0

    def carry(self, size: int) -> None:
        with self._lock:
            self._free = max(self._free, time.monotonic()) + size / LINK
            until = self._free
        if (left := until - time.monotonic()) > 0:  # a sleep of no time gives the core away
            time.sleep(left)  # so long the link is taken


class Client:
    """In place of ipyparallel's: one engine for each host, behind a pipe."""

    def __init__(self, pipes: list[Any]) -> None:
        self._sending: queue.SimpleQueue[tuple[Any, Any, int]] = queue.SimpleQueue()
        self._hosts = [Engine(pipe, self._sending) for pipe in pipes]
        threading.Thread(target=self._send, daemon=True).start()

    def __getitem__(self, engine: int) -> Engine:  # former versions send by views
        return self._hosts[engine]

    def purge_hub_results(self, ids: list[str]) -> None:
        """Forget nothing, for nothing is kept."""

    def _send(self) -> None:
        line = Link()
        with contextlib.suppress(OSError):  # at the end
            while True:
                pipe, message, size = self._sending.get()
                line.carry(size)
                pipe.send(message)


class Engine:
    """A view of one engine, which does one thing after the other."""

    def __init__(self, pipe: Any, sending: queue.SimpleQueue[tuple[Any, Any, int]]) -> None:
        self._pipe, self._sending = pipe, sending
        self._asked: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        threading.Thread(target=self._answer, daemon=True).start()

    def apply_async(self, _: Any, __: str, ___: bytes, name: str, *args: Any) -> Answer:
        return self.ask(name, *args)

    def ask(self, name: str, *args: Any) -> Answer:
        answer = Answer()
        self._asked.put(answer)  # by one thread at a time, see `shipping.send`
        size = sum(len(one) for one in args if isinstance(one, bytes))
        self._sending.put((self._pipe, (name, args), size))
        return answer

    def _answer(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                worked, value = self._pipe.recv()
                answer = self._asked.get()
                (answer.set_result if worked else answer.set_exception)(value)


class Answer(Future[Any]):
    """What ipyparallel gives for a call."""

    msg_ids = ("id",)

    def get(self, timeout: float) -> Any:
        return self.result(timeout)


@contextlib.contextmanager
def cluster(folder: Path, hosts: int) -> Iterator[Client]:
    """Start the hosts; end them afterwards."""
    import spotcluster.search.dispatch.delivery  # noqa: F401 - before they are forked

    fork = multiprocessing.get_context("fork")
    pipes, processes = [], []
    for n in range(hosts):
        ours, theirs = fork.Pipe()
        process = fork.Process(target=host, args=(theirs, folder / f"node{n:03}"), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        yield Client(pipes)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join(10)


def host(pipe: Any, home: Path) -> None:
    """Do what a host's engine is told, over links of its own."""
    from importlib import import_module

    from ipyparallel.error import RemoteError

    from spotcluster.search.engine import peer, transfer

    home.mkdir()
    os.environ.update(HOME=str(home), SPOTCLUSTER_HOME=str(home))
    os.chdir(home)
    transfer.BLOCK //= SCALE
    peer._address = lambda: "127.0.0.1"
    coming, going = Link(), Link()
    transfer._write = slowed(transfer._write, coming, lambda *args: len(args[2]))
    peer._bytes_of = slowed(peer._bytes_of, going, lambda *args: args[2])
    with contextlib.suppress(EOFError):
        while True:
            name, args = pipe.recv()
            module, _, function = name.partition(".")
            try:
                found = import_module(f"spotcluster.search.engine.{module}")
                answer = True, getattr(found, function)(*args)
            except Exception as error:  # noqa: BLE001 - it is the answer
                answer = False, RemoteError(type(error).__name__, str(error), "")
            pipe.send(answer)


def slowed(does: Callable[..., Any], link: Link, size: Callable[..., int]) -> Callable[..., Any]:
    """Have what a function is given or gives go through a link first."""

    def slow(*args: Any) -> Any:
        link.carry(size(*args))
        return does(*args)

    return slow


if __name__ == "__main__":
    main()
