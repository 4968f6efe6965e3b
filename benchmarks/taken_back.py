"""A search whose nodes EC2 takes back one after the other, while `spotcluster keep` runs.

Usage: python benchmarks/taken_back.py [--losses 10] [--every 60] [--notice 30] [--workers 3]

Every so many seconds a worker that is ready gets EC2's interruption notice, and is gone some
seconds after it; at the same time all prices jump. The time is held against that of the undisturbed
search and the work that was lost: what engines had under way, and the time without them until those
in their place are ready. The bill is the receipt of `terminate`, against the price of each second
by EC2's price history.

Runs on the local cloud, in a folder of its own. Evaluations are bound by sleep (--pace), so that it
does not matter how many cores this computer has; set-up of nodes is not, and shares them.
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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from _bench import leave_nothing_behind, say, show, until, verdict

NAME = "bench"
FOLDS = 5
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

    said: list[tuple[float, str]] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Run it."""
        self.process = subprocess.Popen(
            [*command(), "keep", NAME],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
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
    """Measure, and print the figures."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--losses", type=int, default=10, help="nodes that are taken back")
    given.add_argument("--every", type=float, default=60.0, help="seconds between two notices")
    given.add_argument("--notice", type=int, default=30, help="seconds from a notice to the end")
    given.add_argument("--workers", type=int, default=3)
    given.add_argument("--pace", type=float, default=1.0, help="seconds of an evaluation")
    options = given.parse_args()
    leave_nothing_behind()
    home = Path(tempfile.mkdtemp(prefix="sc-"))
    os.environ["SPOTCLUSTER_HOME"] = str(home)
    from spotcluster import local

    try:
        _measure(options, home)
    finally:
        local.stop()
        shutil.rmtree(home, ignore_errors=True)


def command() -> list[str]:
    """Return the words that run our program."""
    return [sys.executable, "-m", "spotcluster"]


def run(*words: str) -> str:
    """Run our program; return what it prints."""
    done = subprocess.run(
        [*command(), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _measure(options: argparse.Namespace, home: Path) -> None:
    import spotcluster
    from spotcluster import files, ssh
    from spotcluster.aws import keypairs
    from spotcluster.aws.session import Session

    session = Session("local")
    pair = ssh.keys.generate()
    key = files.key_file("demo")
    files.write_private(key, pair.private)
    (home / "config").write_text(CONFIG.format(key=key))
    keypairs.upload(session, "demo", pair.public)
    run("start", "-c", "bench", "-s", str(1 + options.workers), NAME)
    client = spotcluster.connect(NAME)
    keeper = Keeper()
    try:
        engines = len(client.ids)
        wanted = options.losses * options.every + options.every / 2
        size = max(1, round(engines * wanted / options.pace / FOLDS))
        grid = {"C": [0.1 * (1 + n) for n in range(size)]}
        calm, undisturbed = _search(client, grid, options.pace)
        say(f"undisturbed: {undisturbed:.1f} s on {engines} engines")
        keeper.start()
        losses: list[Loss] = []
        over = threading.Event()
        taker = threading.Thread(target=_take, args=(options, losses, over), daemon=True)
        taker.start()
        search, took = _search(client, grid, options.pace)
        over.set()
        taker.join(options.every + 60)
        same = _table(search) == _table(calm) == _own_table(grid)
        late = [_late(search.evaluations(), one) for one in losses]
        retried = sum(one.lost for one in search.retried)
        until(lambda: all(_followed(keeper, one) for one in losses), 180)
    finally:
        client.close()
        keeper_said = len(keeper.when("asking for"))
        run("terminate", "-y", NAME)
        keeper.end()
    lost = (sum(one.ready - one.noticed for one in losses) + retried * options.pace) / engines
    asked = [one.asked - one.noticed for one in losses]
    receipt = json.loads(run("-r", "local", "costs", NAME, "--json"))["ended"][-1]
    by_history = _bill(session)
    show(
        f"{FOLDS * len(grid['C'])} evaluations of {options.pace:g} s on {engines} engines,"
        f" {len(losses)} nodes taken back {options.every:g} s apart, seconds",
        [
            ("undisturbed", f"{undisturbed:.1f}"),
            ("with losses", f"{took:.1f}"),
            ("lost work, of all engines", f"{lost:.1f} ({retried} evaluations run again)"),
            ("notice to the last evaluation begun there", _listed(late)),
            ("notice to the replacement asked for", _listed(asked)),
            ("notice to the replacement ready", _listed(one.ready - one.noticed for one in losses)),
        ],
        verdict("against undisturbed and lost work", took / (undisturbed + lost), 1.15),
        verdict("notice to no new evaluation", max(late, default=0.0), 6.0),
        verdict("notice to the replacement asked for", max(asked, default=0.0), 15.0),
        f"nodes were asked for {keeper_said} times",
        "tables equal to scikit-learn's" if same else "TABLES DIFFER",
        f"receipt ${receipt['usd']:.6f}, by the price history ${by_history:.6f}:"
        f" {'equal to the cent' if abs(receipt['usd'] - by_history) < 0.005 else 'NOT EQUAL'}"
        + (f"; at most: {receipt['at_most']}" if receipt["at_most"] else ""),
    )


def _search(client: Any, grid: dict[str, list[float]], pace: float) -> tuple[Any, float]:
    """Run a search; return it, and how long it took."""
    from sklearn.datasets import load_iris
    from sklearn.svm import SVC

    from spotcluster.search import GridSearch

    X, y = load_iris(return_X_y=True)
    search = GridSearch(client.load_balanced_view())
    begin = time.perf_counter()
    search.launch_for_arrays(SVC(), grid, X, y, cv=FOLDS, pace=pace)
    if not search.wait(3600):
        sys.exit("the search has not ended within an hour")
    assert search.failed() == []
    return search, time.perf_counter() - begin


def _table(search: Any) -> dict[str, list[float]]:
    return {
        key: values.tolist()
        for key, values in search.cv_results_.items()
        if key.endswith("_test_score")
    }


def _own_table(grid: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return scikit-learn's."""
    from sklearn.datasets import load_iris
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    return _table(GridSearchCV(SVC(), grid, cv=FOLDS).fit(*load_iris(return_X_y=True)))


def _take(options: argparse.Namespace, losses: list[Loss], over: threading.Event) -> None:
    """Take workers back, one after the other."""
    from spotcluster import local

    while len(losses) < options.losses and not over.wait(options.every):
        there = json.loads(run("listclusters", "--json", NAME))[0]["nodes"]
        gone = {one.alias for one in losses}
        ready = [one for one in there if one["spot"] and one["ready"] and one["alias"] not in gone]
        if not ready:
            say("no worker is ready to be taken back")
            continue
        victim = min(ready, key=lambda one: str(one["launched"]))
        losses.append(Loss(victim["alias"], time.time()))
        local.give_notice([{"instance": victim["id"], "seconds": options.notice}])
        # Up and down below the bid, so that the bill has more than one price in it.
        local.set_prices([{"usd": PRICES[len(losses) % len(PRICES)]}])
        say(f"{victim['alias']} is taken back")


def _followed(keeper: Keeper, one: Loss) -> bool:
    """Find when the keeper has asked for a node in the place of one, and had it."""
    counted = keeper.when(rf"^\S+ \S+  {one.alias} .*counts no more")
    asked = keeper.when("asking for", counted[0]) if counted else []
    ready = keeper.when(r"node\d+ is ready", asked[0]) if asked else []
    if ready:
        one.asked, one.ready = asked[0], ready[0]
    return bool(ready)


def _late(evaluations: Sequence[Any], one: Loss) -> float:
    """Return how long after its notice a node has begun an evaluation last."""
    begun = [item.started - one.noticed for item in evaluations if item.node == one.alias]
    return max(0.0, *begun) if begun else 0.0


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{one:.1f}" for one in values) or "none"


def _bill(session: Any) -> float:
    """Return what all instances have cost by the price of each second, and their disks."""
    from spotcluster.aws import instances, prices

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
