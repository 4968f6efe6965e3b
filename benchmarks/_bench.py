"""What the benchmarks share: engines of their own, and how figures are printed."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
os.environ.update(ONE_THREAD)  # one evaluation, one core: everywhere
_TEMPLATES = Path(__file__).parents[1] / "templates"  # what nodes run


class Engines:
    """A controller, and engines on pretended hosts: each has its own name and home."""

    def __init__(self, folder: Path) -> None:
        import ipyparallel

        self.folder = folder
        self._ipython = folder / "ipython"
        self._ipython.mkdir()
        self.processes: list[subprocess.Popen[bytes]] = []  # which engines are forked of
        security = self._ipython / "profile_default" / "security"
        self._engine_file = security / "ipcontroller-engine.json"
        client_file = security / "ipcontroller-client.json"
        self._controller = self._start(
            *(str(_TEMPLATES / "controller.py"), "--ip=127.0.0.1"),
            *(f"--ipython-dir={self._ipython}", "--TaskScheduler.hwm=1", "--reuse"),
            *("--HeartMonitor.period=1000", "--HeartMonitor.max_heartmonitor_misses=5"),
            HOME=str(folder),
        )
        until(lambda: client_file.exists() and self._engine_file.exists())
        self.client_file = str(client_file)
        self.client = ipyparallel.Client(self.client_file, timeout=30)

    def start(self, node: str, n: int = 1, *, wait: bool = True) -> None:
        """Start engines on a host, as nodes start theirs."""
        expected = len(self.client.ids) + n
        home = self.folder / node
        own = home / "engines" / str(len(self.processes))
        own.mkdir(parents=True)
        (own / "number").write_text(str(n))
        process = self._start(
            *(str(_TEMPLATES / "engines.py"), str(own), str(own), f"--file={self._engine_file}"),
            *(f"--ipython-dir={self._ipython}", "--timeout=60"),
            HOME=str(home),
            SPOTCLUSTER_NODE=node,
            SPOTCLUSTER_DRAIN_FLAG=str(home / ".spotcluster" / "drain"),
            PYTHONPATH=str(Path(__file__).parent),  # for what peers send by name
        )
        self.processes.append(process)
        if wait:
            until(lambda: len(self.client.ids) >= expected)

    def pids(self) -> list[int]:
        """Return the processes of the engines, as what they are forked of tells of them."""
        told = self.folder.glob("*/engines/*/running")
        return [int(line.split()[1]) for one in told for line in one.read_text().splitlines()]

    def close(self) -> None:
        """End everything that was started here."""
        self.client.close()
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait(10)
        self._controller.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._controller.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._controller.pid, signal.SIGKILL)

    def _start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        kept = {key: value for key, value in os.environ.items() if "SPOTCLUSTER" not in key}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env={**kept, **ONE_THREAD, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@contextlib.contextmanager
def engines(**nodes: int) -> Iterator[Engines]:
    """Give engines on hosts, ``engines(node001=2)``; searches keep their files beside them."""
    leave_nothing_behind()
    folder = Path(tempfile.mkdtemp(prefix="scb-"))
    os.environ["SPOTCLUSTER_HOME"] = str(folder / "client")
    started = None
    try:
        started = Engines(folder)
        for node, n in nodes.items():
            started.start(node, n)
        yield started
    finally:
        if started is not None:
            started.close()
        shutil.rmtree(folder, ignore_errors=True)


def leave_nothing_behind() -> None:
    """Have this process end what it started when it is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def until(condition: Callable[[], Any], limit: float = 60.0) -> None:
    """Wait until `condition` holds."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the benchmark's cluster did not come up")
        time.sleep(0.02)  # between two looks


def seconds(work: Callable[[], Any]) -> float:
    """Return how long `work` takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def in_turn(
    ways: dict[str, Callable[[], float]], rounds: int, once: str = ""
) -> dict[str, list[float]]:
    """Measure each way once per round, so that a busy minute of the machine meets all of them.

    The way named `once` is measured in the first round only: a peer that takes minutes, and is so
    far behind that its spread does not matter.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            if name == once and number:
                continue
            taken[name].append(way())
            say(f"round {number + 1}: {name} {taken[name][-1]:.2f}")
    return taken


def machine() -> str:
    """Return where and when a figure was measured."""
    load = os.getloadavg()[0]
    today = time.strftime("%Y-%m-%d")
    python = platform.python_version()
    return f"{today}, {os.cpu_count()} cores, load {load:.1f}, Python {python}"


def show(title: str, rows: list[tuple[str, str]], *remarks: str) -> None:
    """Print a table of what was measured."""
    print(f"{title} ({machine()})")
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")
    for remark in remarks:
        print(remark)


def spread(values: list[float]) -> str:
    """Return median and range as text."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def verdict(name: str, ratio: float, limit: float) -> str:
    """Return a line that says whether a target is met."""
    return f"{name}: {ratio:.3f}, limit {limit:g}: {'met' if ratio <= limit else 'NOT MET'}"


def against(ours: float, peers: dict[str, float]) -> str:
    """Return a line that says which peers are faster, if any."""
    ahead = [name for name, value in peers.items() if value <= ours]
    return "ahead of every peer" if not ahead else f"NOT ahead of: {', '.join(ahead)}"


def say(text: str) -> None:
    """Tell how it goes, to those who watch."""
    if sys.stderr.isatty() or os.environ.get("BENCH_VERBOSE"):
        print(text, file=sys.stderr, flush=True)
