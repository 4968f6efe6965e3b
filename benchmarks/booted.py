"""Workers on machines that boot: eight against one, and against ipyparallel's own SSH launchers.

Usage: sudo python benchmarks/booted.py [WORKERS [ROUNDS]]

From the command to engines that have answered, with 50 ms more for every round trip to a machine:
a `start` of one worker and one of WORKERS (8), in turn, ROUNDS (3) times; the ratio is that of the
medians. Then, on the machines of the last, which are up and have their packages: the controller and
the engines by `runplugin`, and the same engines by ipyparallel's SSHEngineSetLauncher, from the
master, with a controller of its own. The machines are those of tests/machines, so it needs what
these need. They share this computer's cores, where those of a cloud have their own: so each gets
the same share of a core, with one as with many, small enough for two cores to carry nine machines,
their network and the index of packages: with 0.15 they were at work three quarters of the time,
and a start of eight was measured waiting for them.
"""

from __future__ import annotations

import json
import os
import shlex
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import _bench

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from machines.bed.lab import Lab

_ROUND_TRIP = 0.05
_SHARE = 0.1  # of a core
_LIMIT = 1.3
_SSH_LAUNCHERS = """
import json, sys, time
from pathlib import Path
import ipyparallel

hosts = json.loads(sys.argv[1])
folder = Path.home() / "peer"
folder.mkdir(exist_ok=True)
begin = time.monotonic()
cluster = ipyparallel.Cluster(
    ipython_dir=str(folder), engines="ssh", controller_ip="*", n=len(hosts), log_level=40,
    engine_timeout=120,
)
cluster.config.SSHEngineSetLauncher.engines = dict.fromkeys(hosts, 1)
cluster.config.SSHLauncher.remote_python = sys.executable
cluster.config.SSHEngineSetLauncher.remote_python = sys.executable
cluster.config.SSHEngineLauncher.remote_python = sys.executable
try:
    client = cluster.start_and_connect_sync()
    client.wait_for_engines(len(hosts), timeout=300, interactive=False)
    client[:].apply_sync(int)
    print("TOOK", time.monotonic() - begin)
finally:
    cluster.stop_cluster_sync()
"""


@contextmanager
def _far(lab: Lab, machines: int) -> Iterator[None]:
    """Have every machine be far, and slow, from the moment that it is there."""
    over = threading.Event()
    far: set[str] = set()

    def watch() -> None:
        while not over.wait(0.2 if len(far) < machines else 2.0):  # another one may replace one
            for machine in lab.machines:
                if machine.id not in far and machine.state == "running":
                    machine.slow_cpu(_SHARE)
                    machine.delay(_ROUND_TRIP)
                    far.add(machine.id)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _busy() -> float:
    """Return the seconds that this computer's cores have been at work."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    ticks = [int(field) for field in fields]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")


def _start(lab: Lab, workers: int) -> tuple[float, float]:
    """Return the seconds that a start takes, and those of processor."""
    busy, begin = _busy(), time.monotonic()
    with _far(lab, workers + 1):
        lab.run("start", "-s", str(workers + 1), "-b", "0.5", "mycluster", timeout=1800)
    return time.monotonic() - begin, _busy() - busy


def _median(starts: list[tuple[float, float]]) -> float:
    return statistics.median(seconds for seconds, _ in starts)


def _said(starts: list[tuple[float, float]]) -> str:
    busy = statistics.median(busy for _, busy in starts)
    all_of_them = ", ".join(f"{seconds:.1f}" for seconds, _ in starts)
    return f"{_median(starts):.1f} (of {all_of_them}), with {busy:.1f} s of processor"


def main() -> None:
    """Measure and print."""
    workers, rounds = (*map(int, sys.argv[1:]), *(8, 3)[len(sys.argv) - 1 :])
    alone, many = [], []
    with Lab() as lab:
        lab.configure()
        lab.run("start", "mycluster")  # what is downloaded once is there from now on
        lab.run("terminate", "-y", "mycluster")
        for _ in range(rounds):
            alone.append(_start(lab, 1))
            lab.run("terminate", "-y", "mycluster")
            many.append(_start(lab, workers))
            print(f"1: {alone[-1][0]:.1f} s, {workers}: {many[-1][0]:.1f} s", flush=True)
            if len(many) < rounds:
                lab.run("terminate", "-y", "mycluster")
        hosts = [f"node{number:03d}" for number in range(1, workers + 1)]
        (lab.home / "config").open("a").write(
            "\n[plugin halt]\nSETUP_CLASS = spotcluster.plugins.ipcluster.IPClusterStop\n"
        )
        lab.run("runplugin", "halt", "mycluster")
        ours = _bench.seconds(lambda: lab.run("runplugin", "ipcluster", "mycluster"))
        lab.run("runplugin", "halt", "mycluster")
        # As the image's login, which has the key that lets it into the workers.
        words = ["python", "-c", _SSH_LAUNCHERS, json.dumps(hosts)]
        said = lab.run("sshmaster", "mycluster", shlex.join(words))
        theirs = float(said.split("TOOK")[1].split()[0])
        lab.run("terminate", "-y", "mycluster")
    rows = [
        ("start of 1 worker, s", _said(alone)),
        (f"start of {workers} workers, s", _said(many)),
        ("engines on hosts that are up, ours, s", f"{ours:.1f}"),
        ("the same, ipyparallel's SSH launchers, s", f"{theirs:.1f}"),
    ]
    _bench.show(f"machines that boot, {_SHARE:g} of a core each, round trips of 50 ms", rows)
    print(_bench.verdict(f"{workers} workers against 1", _median(many) / _median(alone), _LIMIT))
    print(_bench.against(ours, {"ipyparallel's SSH launchers": theirs}))


if __name__ == "__main__":
    main()
