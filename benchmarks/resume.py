"""How long it takes to go on with a search of very many evaluations, and what memory.

Usage: python benchmarks/resume.py [EVALUATIONS]

A search over a grid, of 1,000,000 evaluations unless given, is begun and aborted; all but ten of
what is left are written into its ledger as if they had been done, which takes some minutes. Then a
new process resumes it on one engine and waits for its end: until it says how far it is, until it
has ended, until its table and its report are there, and the most memory that it has had.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import _bench

SPLITS = 5
LEFT = 10
_LIMITS = {"seconds": 10.0, "memory, MB": 1000.0}
_RESUMED = """
import json, resource, sys, time

import ipyparallel
from spotcluster.search import GridSearch

client = ipyparallel.Client(sys.argv[1], timeout=30)
client[:].apply_sync(int)
before, processor = time.monotonic(), time.process_time()
search = GridSearch.resume(sys.argv[2], client)
search.progress()
begun = time.monotonic() - before
assert search.wait(timeout=600)
ended = time.monotonic() - before
table = search.cv_results_
search.report()
print(json.dumps({
    "evaluations": search.completed(), "begun": begun, "ended": ended,
    "seconds": time.monotonic() - before, "processor": time.process_time() - processor,
    "memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
}))
client.close()
"""


def main() -> None:
    """Measure and print."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with _bench.engines(node001=1) as cluster:
        ledger = _begun(cluster, wanted)
        print(f"the ledger has {ledger.stat().st_size / 1e6:.0f} MB")
        words = [sys.executable, "-c", _RESUMED, cluster.client_file, str(ledger)]
        done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    number = found.pop("evaluations")
    rows = [(name, f"{value:.1f}") for name, value in found.items()]
    _bench.show(f"a search of {number:,} evaluations goes on", rows)
    for name, limit in _LIMITS.items():
        print(_bench.verdict(name, found[name], limit))


def _begun(cluster: _bench.Engines, wanted: int) -> Path:
    from sklearn.datasets import load_iris
    from sklearn.svm import SVC

    from spotcluster.search import GridSearch, persist_cv_splits
    from spotcluster.search.data.evaluations import Evaluation
    from spotcluster.search.results.ledger import Ledger

    iris = load_iris()
    name = str(cluster.folder / "iris")
    splits = persist_cv_splits(iris.data, iris.target, name=name, n_cv_iter=SPLITS, random_state=0)
    candidates = wanted // SPLITS
    grid = {
        "C": [1.0 + n / 1000 for n in range(candidates // 100)],
        "gamma": [0.01 * n for n in range(1, 101)],
    }
    search = GridSearch(cluster.client, ledger=cluster.folder / "ledger")
    search.launch_for_splits(SVC(), grid, splits)
    _bench.until(lambda: search.completed() >= 1)
    search.abort()
    keys = ((candidate, split) for candidate in range(candidates) for split in range(SPLITS))
    with Ledger.claimed(Path(search.ledger), new=False) as ledger:
        finished = ledger.go_on().evaluations
        left = [key for key in keys if key not in finished]
        for at in range(0, len(left) - LEFT, 10_000):
            ledger.append(
                Evaluation(
                    *key,
                    test_score=0.5 + (number * 7919 % 99991) / 200_000,
                    fit_time=0.0123456789,
                    score_time=0.00123456789,
                    node=f"node{number % 60:03d}",
                    engine=number % 960,
                    uuid=f"node{number % 60:03d}.{number % 16}.1709-{number % 960}",
                    pid=1000 + number % 960,
                    started=1.7e9 + number,
                    ended=1.7e9 + number + 0.0136913578,
                )
                for number, key in enumerate(left[at : min(at + 10_000, len(left) - LEFT)], at)
            )
    ledger.close()
    return Path(search.ledger)


if __name__ == "__main__":
    main()
