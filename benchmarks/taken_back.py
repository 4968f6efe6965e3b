"""A search whose nodes EC2 takes back one after the other, while `spotcluster keep` runs.

Usage: [sudo] python benchmarks/taken_back.py [--losses 10] [--every 60] [--notice 30]
           [--workers 3] [--machines]

Every so many seconds a worker that is ready gets EC2's interruption notice, and is gone some
seconds after it. The time is held against that of the undisturbed search and the work that was
lost: what engines had under way, and the time without them until those in their place are ready.
The bill is the receipt of `terminate`, against the price of each second by EC2's price history.

Runs on the local cloud, in a folder of its own, where all prices jump at each notice; with
--machines on the machines of tests/machines, which boot, and needs what these need. Evaluations are
bound by sleep (--pace), so that it does not matter how many cores this computer has; set-up of
nodes is not, and shares them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from _bench import leave_nothing_behind, say, show, until, verdict

NAME = "bench"
FOLDS = 5
HERE = Path(__file__)
PRICES = (0.03, 0.41, 0.012, 0.2)
CONFIG = """
[key demo]
KEY_LOCATION = {key}

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = 1

[cluster bench]
KEYNAME = demo
REGION = local
NODE_INSTANCE_TYPE = c5.large
SPOT_BID = 0.5
PLUGINS = pypackages, ipcluster
"""


class Place(Protocol):
    """Where the cluster is."""

    start: tuple[str, ...]
    region: str

    def program(self, *words: str) -> subprocess.Popen[str]:
        """Start a Python program on the computer that the cluster was started from."""

    def take(self, instance: str, seconds: int, number: int) -> None:
        """Have EC2 say that it takes an instance back in so many seconds, and do it."""


class LocalCloud:
    """The local cloud, in a folder of its own."""

    region = "local"

    def __init__(self, home: Path, workers: int) -> None:
        from spotcluster import files, ssh
        from spotcluster.aws import keypairs
        from spotcluster.aws.session import Session

        self.start = ("start", "-c", "bench", "-s", str(1 + workers), NAME)
        pair = ssh.keys.generate()
        key = files.key_file("demo")
        files.write_private(key, pair.private)
        (home / "config").write_text(CONFIG.format(key=key))
        keypairs.upload(Session("local"), "demo", pair.public)

    def program(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, *words], **_OPTIONS)

    def take(self, instance: str, seconds: int, number: int) -> None:
        from spotcluster import local

        local.give_notice([{"instance": instance, "seconds": seconds}])
        # Up and down below the bid, so that the bill has more than one price in it.
        local.set_prices([{"usd": PRICES[number % len(PRICES)]}])


class Machines:
    """Machines that boot."""

    region = "us-east-1"

    def __init__(self, lab: Any, workers: int) -> None:
        self._lab = lab
        self.start = ("start", "-s", str(1 + workers), "-b", "0.5", NAME)
        lab.configure()

    def program(self, *words: str) -> subprocess.Popen[str]:
        started: subprocess.Popen[str] = self._lab.popen([sys.executable, *words], **_OPTIONS)
        return started

    def take(self, instance: str, seconds: int, number: int) -> None:
        self._lab.machine(instance).spot_notice(seconds=seconds)


_OPTIONS: dict[str, Any] = {
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.PIPE,
    "stderr": subprocess.STDOUT,
    "text": True,
}


@contextmanager
def place(options: argparse.Namespace) -> Iterator[Place]:
    """Give the place that the options ask for; nothing of it is left afterwards."""
    if options.machines:
        sys.path.insert(0, str(HERE.parents[1] / "tests"))
        from machines.bed.lab import Lab

        with Lab() as lab:
            yield Machines(lab, options.workers)
        return
    home = Path(tempfile.mkdtemp(prefix="sc-"))
    os.environ["SPOTCLUSTER_HOME"] = str(home)
    from spotcluster import local

    try:
        yield LocalCloud(home, options.workers)
    finally:
        local.stop()
        shutil.rmtree(home, ignore_errors=True)


@dataclass
class Loss:
    """A node that is taken back, and what came of it; times in seconds since 1970.

    Attributes
    ----------
    asked, ready : float
        When its replacement was asked for, and when that was ready; 0 if it never was.
    """

    alias: str
    noticed: float
    asked: float = 0.0
    ready: float = 0.0


@dataclass
class Keeper:
    """`spotcluster keep`, and when it said what."""

    where: Place
    said: list[tuple[float, str]] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Run it."""
        self.process = self.where.program("-m", "spotcluster", "keep", NAME)
        threading.Thread(target=self._listen, daemon=True).start()
        until(lambda: self.said)

    def _listen(self) -> None:
        assert self.process
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append((time.time(), line.rstrip()))
            say(line.rstrip())

    def when(self, what: str, since: float = 0.0) -> list[float]:
        """Return when it has said what a pattern finds."""
        return [at for at, line in list(self.said) if at >= since and re.search(what, line)]

    def end(self) -> None:
        """Kill it if it has not ended."""
        if self.process:
            self.process.kill()
            self.process.wait(10)


def main() -> None:
    """Measure, and print the figures; or be a program of the place's."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--losses", type=int, default=10, help="nodes that are taken back")
    given.add_argument("--every", type=float, default=60.0, help="seconds between two notices")
    given.add_argument("--notice", type=int, default=30, help="seconds from a notice to the end")
    given.add_argument("--workers", type=int, default=3)
    given.add_argument("--pace", type=float, default=1.0, help="seconds of an evaluation")
    given.add_argument("--machines", action="store_true", help="on machines that boot")
    given.add_argument("--search", type=int, metavar="CANDIDATES", help=argparse.SUPPRESS)
    given.add_argument("--bill", metavar="REGION", help=argparse.SUPPRESS)
    options = given.parse_args()
    if options.search:
        print(json.dumps(_search(options.search, options.pace)))
    elif options.bill:
        print(json.dumps(_bill(options.bill)))
    else:
        leave_nothing_behind()
        with place(options) as where:
            _measure(options, where)


def run(where: Place, *words: str) -> str:
    """Run a Python program to its end; return what it prints."""
    with where.program(*words) as started:
        said, _ = started.communicate()
    if started.returncode:
        sys.exit(f"{' '.join(words)}: {started.returncode}\n{said}")
    return said


def last(said: str) -> Any:
    """Return what the last line is as JSON."""
    return json.loads(said.splitlines()[-1])


def ours(where: Place, *words: str) -> str:
    """Run a command of our program."""
    return run(where, "-m", "spotcluster", *words)


def _measure(options: argparse.Namespace, where: Place) -> None:
    ours(where, *where.start)
    keeper = Keeper(where)
    try:
        engines = 1 + options.workers
        wanted = options.losses * options.every + options.every / 2
        size = max(1, round(engines * wanted / options.pace / FOLDS))
        words = (str(HERE), "--search", str(size), "--pace", str(options.pace))
        calm = last(run(where, *words))
        say(f"undisturbed: {calm['took']:.1f} s on {engines} engines")
        keeper.start()
        losses: list[Loss] = []
        over = threading.Event()
        taker = threading.Thread(target=_take, args=(options, where, losses, over), daemon=True)
        taker.start()
        search = last(run(where, *words))
        over.set()
        taker.join(options.every + 60)
        same = search["table"] == calm["table"] == _own_table(size)
        until(lambda: all(_followed(keeper, one) for one in losses), 300)
    finally:
        keeper_said = len(keeper.when("asking for"))
        ours(where, "terminate", "-y", NAME)
        keeper.end()
    retried = search["retried"]
    lost = (sum(one.ready - one.noticed for one in losses) + retried * options.pace) / engines
    late = [_late(search["begun"], one) for one in losses]
    asked = [one.asked - one.noticed for one in losses]
    told = json.loads(ours(where, "-r", where.region, "costs", NAME, "--json"))
    receipt = told["ended"][-1]
    by_history = last(run(where, str(HERE), "--bill", where.region))
    kind = "machines that boot" if options.machines else "the local cloud"
    show(
        f"{FOLDS * size} evaluations of {options.pace:g} s on {engines} engines of {kind},"
        f" {len(losses)} nodes taken back {options.every:g} s apart, seconds",
        [
            ("undisturbed", f"{calm['took']:.1f}"),
            ("with losses", f"{search['took']:.1f}"),
            ("lost work, of all engines", f"{lost:.1f} ({retried} evaluations run again)"),
            ("notice to the last evaluation begun there", _listed(late)),
            ("notice to the replacement asked for", _listed(asked)),
            ("notice to the replacement ready", _listed(one.ready - one.noticed for one in losses)),
        ],
        verdict("against undisturbed and lost work", search["took"] / (calm["took"] + lost), 1.15),
        verdict("notice to no new evaluation", max(late, default=0.0), 6.0),
        verdict("notice to the replacement asked for", max(asked, default=0.0), 15.0),
        f"nodes were asked for {keeper_said} times",
        "tables equal to scikit-learn's" if same else "TABLES DIFFER",
        f"receipt ${receipt['usd']:.6f}, by the price history ${by_history:.6f}:"
        f" {'equal to the cent' if abs(receipt['usd'] - by_history) < 0.005 else 'NOT EQUAL'}"
        + (f"; at most: {receipt['at_most']}" if receipt["at_most"] else ""),
    )


def _grid(size: int) -> dict[str, list[float]]:
    return {"C": [0.1 * (1 + n) for n in range(size)]}


def _search(size: int, pace: float) -> dict[str, Any]:
    """Run a search; return how long it took, and what came of it."""
    from sklearn.datasets import load_iris
    from sklearn.svm import SVC

    import spotcluster
    from spotcluster.search import GridSearch

    client = spotcluster.connect(NAME)
    try:
        search = GridSearch(client.load_balanced_view())
        begin = time.perf_counter()
        search.launch_for_arrays(
            SVC(), _grid(size), *load_iris(return_X_y=True), cv=FOLDS, pace=pace
        )
        if not search.wait(3600):
            sys.exit("the search has not ended within an hour")
        took = time.perf_counter() - begin
        assert search.failed() == []
        return {
            "took": took,
            "table": _table(search),
            "begun": [(one.node, one.started) for one in search.evaluations()],
            "retried": sum(one.lost for one in search.retried),
        }
    finally:
        client.close()


def _table(search: Any) -> dict[str, list[float]]:
    return {
        key: values.tolist()
        for key, values in search.cv_results_.items()
        if key.endswith("_test_score")
    }


def _own_table(size: int) -> dict[str, list[float]]:
    """Return scikit-learn's."""
    from sklearn.datasets import load_iris
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    return _table(GridSearchCV(SVC(), _grid(size), cv=FOLDS).fit(*load_iris(return_X_y=True)))


def _take(
    options: argparse.Namespace, where: Place, losses: list[Loss], over: threading.Event
) -> None:
    """Take workers back, one after the other."""
    while len(losses) < options.losses and not over.wait(options.every):
        listed = json.loads(ours(where, "listclusters", "--json", NAME))
        there = listed[0]["nodes"]
        gone = {one.alias for one in losses}
        ready = [one for one in there if one["spot"] and one["ready"] and one["alias"] not in gone]
        if not ready:
            say("no worker is ready to be taken back")
            continue
        victim = min(ready, key=lambda one: str(one["launched"]))
        losses.append(Loss(victim["alias"], time.time()))
        where.take(victim["id"], options.notice, len(losses))
        say(f"{victim['alias']} is taken back")


def _followed(keeper: Keeper, one: Loss) -> bool:
    """Find when the keeper has asked for a node in the place of one, and had it."""
    counted = keeper.when(rf"^\S+ \S+  {one.alias} .*counts no more")
    asked = keeper.when("asking for", counted[0]) if counted else []
    ready = keeper.when(r"node\d+ is ready", asked[0]) if asked else []
    if ready:
        one.asked, one.ready = asked[0], ready[0]
    return bool(ready)


def _late(begun: Iterable[tuple[str, float]], one: Loss) -> float:
    """Return how long after its notice a node has begun an evaluation last."""
    times = [at - one.noticed for node, at in begun if node == one.alias]
    return max(0.0, *times) if times else 0.0


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{one:.1f}" for one in values) or "none"


def _bill(region: str) -> float:
    """Return what all instances have cost by the price of each second, and their disks."""
    from spotcluster.aws import instances, prices
    from spotcluster.aws.session import Session

    session = Session(region)
    total = 0.0
    for one in instances.describe(session, NAME):
        begin, end = one.launched, one.ended or datetime.now(UTC)
        end = max(end, begin + timedelta(minutes=1))
        hours = (end - begin) / timedelta(hours=1)
        total += one.disk_gb * prices.disk_hour(session) * hours
        if not one.spot:
            total += (prices.on_demand(session, one.type) or 0.0) * hours
            continue
        changes = prices.spot_changes(session, [one.type], begin)[one.type, one.zone]
        for second in range(round((end - begin).total_seconds())):
            at = begin + timedelta(seconds=second)
            held = [usd for since, usd in changes if since <= at]
            total += (held[-1] if held else changes[0][1]) / 3600
    return total


if __name__ == "__main__":
    main()
