"""put and get against scp -r and rsync: 5,000 small files, and one large one.

Usage: python benchmarks/files.py [ROUNDS]

Runs on the local cloud in a folder of its own; all of them go to and from the same node, through
its SSH server. The peers' times include their connection, as ours do. scp has not verified what it
copied; rsync has. What is not installed is left out.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import _bench as bench

SMALL, LARGE = 5_000, 500_000_000
MANY = f"{SMALL:,} files of 2 kB"
ONE = f"one file of {LARGE // 1_000_000} MB"


def main() -> None:
    """Measure, print seconds and ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    bench.leave_nothing_behind()
    home = Path(tempfile.mkdtemp(prefix="sc-"))
    os.environ["SPOTCLUSTER_HOME"] = str(home)
    from spotcluster import local

    try:
        _measure(home, rounds)
    finally:
        local.stop()
        shutil.rmtree(home)


def _measure(home: Path, rounds: int) -> None:
    from spotcluster import config, files, ssh, templates
    from spotcluster.aws import keypairs
    from spotcluster.aws.session import Session
    from spotcluster.cluster.lifecycle import start, terminate
    from spotcluster.cluster.reporter import Quiet

    session = Session("local")
    settings = config.load_text(templates.read("demo.ini"), "demo.ini")
    template = settings.with_key(settings.template("demo")).with_overrides(size=1)
    template = template.model_copy(update={"plugins": ()})
    pair = ssh.keys.generate()
    files.write_private(files.key_file("demo"), pair.private)
    keypairs.upload(session, "demo", pair.public)
    cluster = start.start(session, "bench", template, Quiet()).cluster
    try:
        data = _make(home / "data")
        for what, path in ((MANY, data / "many"), (ONE, data / "one")):
            ways = _ways(cluster, path, home / "back")
            taken = bench.in_turn(ways, rounds)
            _show(what, taken)
    finally:
        terminate.terminate(session, "bench", Quiet(), timeout=120)


def _make(folder: Path) -> Path:
    for number in range(SMALL):
        path = folder / "many" / f"{number % 50:02}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(2_000))
    with (folder / "one").open("wb") as file:
        for _ in range(LARGE // 1_000_000):
            file.write(os.urandom(1_000_000))
    return folder


def _ways(cluster: Any, path: Path, back: Path) -> dict[str, Callable[[], float]]:
    from spotcluster import ssh
    from spotcluster.ssh import transfer

    target = cluster.master.target
    known = cluster.pin_host_keys()
    words = ssh.command_line(target, known)
    # Those that ssh, scp and rsync's ssh all know, so that each is held to the pinned host key.
    pairs = [pair for pair in pairwise(words) if pair[0] in ("-i", "-o")]
    options = [word for pair in [*pairs, ("-o", f"Port={target.port}")] for word in pair]
    name = path.name

    def clean() -> None:
        cluster.master.run("rm -rf there", what="cleaning")
        shutil.rmtree(back, ignore_errors=True)
        back.mkdir()

    def put() -> None:
        with ssh.connect(target, timeout=20) as connection:
            transfer.put(connection, [path], "there/").check("master")

    def get() -> None:
        with ssh.connect(target, timeout=20) as connection:
            transfer.get(connection, [f"there/{name}"], back).check("master")

    def pair(
        there: Callable[[], None], again: Callable[[], None]
    ) -> tuple[Callable[[], float], Callable[[], float]]:
        def first() -> float:
            clean()
            cluster.master.run("mkdir there", what="making a folder")
            return bench.seconds(there)

        def second() -> float:
            return bench.seconds(again)

        return first, second

    ways: dict[str, Callable[[], float]] = {}
    ways["put"], ways["get"] = pair(put, get)
    where = f"{target.user}@{target.host}"
    if shutil.which("scp"):
        scp = ["scp", "-q", "-r", "-p", *options]
        ways["scp, to"], ways["scp, from"] = pair(
            lambda: _call([*scp, str(path), f"{where}:there/"]),
            lambda: _call([*scp, f"{where}:there/{name}", str(back / "scp")]),
        )
    if shutil.which("rsync"):
        rsync = ["rsync", "-a", "-e", " ".join(["ssh", *options])]
        ways["rsync, to"], ways["rsync, from"] = pair(
            lambda: _call([*rsync, str(path), f"{where}:there/"]),
            lambda: _call([*rsync, f"{where}:there/{name}", str(back / "rsync")]),
        )
    return ways


def _call(command: list[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def _show(what: str, taken: dict[str, list[float]]) -> None:
    rows = [(name, f"{bench.spread(values)} s") for name, values in taken.items()]
    ratios = []
    for peer in ("scp", "rsync"):
        for ours, theirs in (("put", "to"), ("get", "from")):
            if values := taken.get(f"{peer}, {theirs}"):
                ratio = statistics.median(taken[ours]) / statistics.median(values)
                ratios.append(f"{ours}: {ratio:.2f} of {peer}'s time")
    bench.show(what, rows, *(ratios or ["neither scp nor rsync is there"]))


if __name__ == "__main__":
    main()
