"""One `start` whose machines are stubs in this process: prints what it cost as JSON.

    python _stub_client.py CHECKOUT WORKERS

EC2 is at AWS_ENDPOINT_URL, in another process; so all that this one uses is the client's. With
BENCH_FAR=1 every round trip takes what it takes to a region that is far, and machines boot first.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_ROUND_TRIP = 0.05  # seconds
_TO_CONNECT = 4  # round trips: TCP, versions, keys, who asks
_BOOT = (20.0, 40.0)  # seconds
_MAKING = ("Action=CreateFleet", "Action=RunInstances")


class _Far:
    """What takes time where machines are far and have to boot; a lone worker is of the slowest.

    They boot from when EC2 has answered the call that made the last of them.
    """

    def __init__(self, workers: int) -> None:
        self._random = random.Random(0)
        self._alone = workers == 1
        self._booted: set[str] = set()
        self._lock = threading.Lock()
        self._launched = time.monotonic()

    def connecting(self, target: Any) -> None:
        with self._lock:
            is_first = target.host_key_alias not in self._booted
            self._booted.add(target.host_key_alias)
            takes = _BOOT[1] if self._alone else self._random.uniform(*_BOOT)
            left = max(0.0, self._launched + takes - time.monotonic())
        # As long as a machine boots, and a network takes, in the place of which this stands.
        time.sleep(_TO_CONNECT * _ROUND_TRIP + (left if is_first else 0))

    def calling(self, send: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*args: Any, **options: Any) -> Any:
            time.sleep(_ROUND_TRIP)  # as to a region that is far
            answer = send(*args, **options)
            if any(call in str(args[1].body) for call in _MAKING):
                self._launched = time.monotonic()
            return answer

        return slow


class _Connection:
    """A connection to a stub, as this version and former ones use it."""

    alive = True

    def __init__(self, target: Any, ask: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._known = {"alias": target.alias, "id": target.host_key_alias}
        self._ask = ask
        ask({**self._known, "kind": "ssh", "what": "connecting"})

    def run(
        self,
        script: str,
        *,
        what: str = "",
        input: bytes | None = None,  # noqa: A002 - as in what it stands for
        **_: Any,
    ) -> Any:
        given = None if input is None else input.decode()
        asked = {"kind": "run", "what": what, "script": script, "input": given}
        out = self._ask({**self._known, **asked}).get("out", "")
        return SimpleNamespace(status=0, stdout=out, stderr="")

    def run_each(self, steps: Sequence[Any], **_: Any) -> list[str]:
        given = [{"kind": "run", "what": one.what, "script": one.script} for one in steps]
        answer = self._ask({**self._known, "kind": "series", "what": "", "steps": given})
        return list(answer["outs"])

    def put(self, data: Any, target: str, **_: Any) -> None:
        asked = {"kind": "put", "what": f"writing {target}", "path": target, "data": str(data)}
        self._ask({**self._known, **asked})

    def close(self) -> None:
        pass


def _peak() -> float:
    """Return the most memory that this process had, in MB; rusage counts what started it too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _looks(run: Callable[[list[str]], int]) -> list[float]:
    """Return how many times as long `listclusters` takes as what it needs of EC2, of some times."""
    import boto3

    pages = boto3.client("ec2", "us-east-1").get_paginator("describe_instances")
    found = []
    for _ in range(5):
        began = time.monotonic()
        instances = sum(len(page["Reservations"]) for page in pages.paginate())
        between = time.monotonic()
        assert instances
        assert run(["listclusters"]) == 0
        found.append((time.monotonic() - between) / (between - began))
    return found[1:]  # the first imports


def main() -> None:
    """Run it."""
    tree, workers = Path(sys.argv[1]), int(sys.argv[2])
    sys.path[:0] = [str(tree), str(Path(__file__).parents[1] / "tests")]
    from faults.machines import Machines

    from spotcluster import ssh
    from spotcluster.cli import main as program

    assert Path(ssh.__file__).is_relative_to(tree), "another version is measured"
    machines, lock = Machines(), threading.Lock()
    trips: Counter[str] = Counter()
    connections: Counter[str] = Counter()

    far = _Far(workers) if os.environ.get("BENCH_FAR") else None
    if far:
        from botocore.httpsession import URLLib3Session

        URLLib3Session.send = far.calling(URLLib3Session.send)

    def ask(asked: dict[str, Any]) -> dict[str, Any]:
        if far and asked["kind"] != "ssh":
            time.sleep(_ROUND_TRIP)  # as to a node that is far
        with lock:
            (connections if asked["kind"] == "ssh" else trips)[asked["alias"]] += 1
            answer: dict[str, Any] = machines.answer(asked)
        return answer

    def connect(target: Any, **_: Any) -> Any:
        if far:
            far.connecting(target)
        return _Connection(target, ask)

    ssh.connect = ssh.wait_for = connect
    sys.stdout.flush()
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    began = time.monotonic()
    status = program.run(["start", "-c", "bare", "-s", str(workers + 1), "mycluster"])
    took = time.monotonic() - began
    looks = _looks(program.run) if os.environ.get("BENCH_LOOKS") else []
    used = resource.getrusage(resource.RUSAGE_SELF)
    master, own = trips.pop("master", 0), connections.pop("master", 0)
    found = {
        "status": status,
        "wall": took,
        "looks": looks,
        "cpu": used.ru_utime + used.ru_stime,
        "memory": _peak(),
        "trips": sorted(set(trips.values())),
        "connections": sorted(set(connections.values())),
        "master": master,
        "master_connections": own,
    }
    os.write(out, json.dumps(found).encode())


if __name__ == "__main__":
    main()
