"""Bytes sent for 800 MB of split files, 100 evaluations, 4 engines on 2 hosts that share no files.

Usage: python benchmarks/bytes_sent.py [ROUNDS] [MEGABYTES]

Counted is what the client's process hands to its sockets (all messages, with headers), and the
bytes of the files that the hosts hand to each other. Beside it the same through joblib's
ipyparallel backend, which pickles the data into every task; that is measured on 12 evaluations and
multiplied, for its sake.
"""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from _bench import Engines, against, engines, in_turn, show, spread, verdict
from sklearn.linear_model import SGDClassifier

SPLITS = 5
HOSTS = 2
FEW = 12


class Counter:
    """Counts the bytes of all messages that leave this process, as ZeroMQ is given them."""

    def __init__(self) -> None:
        import zmq

        self.sent = 0
        count = self

        def counted(send: Any) -> Any:
            def method(socket: Any, data: Any, *args: Any, **more: Any) -> Any:
                buffer = data.bytes if isinstance(data, zmq.Frame) else data
                count.sent += memoryview(buffer).nbytes
                return send(socket, data, *args, **more)

            return method

        zmq.Socket.send = counted(zmq.Socket.send)


def main() -> None:
    """Measure, and print the ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    size = (int(sys.argv[2]) if len(sys.argv) > 2 else 800) * 10**6
    rows = size // SPLITS // 800  # of 100 numbers
    X = np.random.default_rng(0).random((rows, 100))
    y = np.arange(rows) % 2
    counter = Counter()
    files: list[int] = []
    by_client: list[float] = []

    def ours() -> float:
        from spotcluster.search import GridSearch, persist_cv_splits

        with engines(node001=2, node002=2) as cluster:
            os.chdir(cluster.folder)
            names = [
                f"/proc/self/cwd/{Path(name).name}"  # which is another folder for each process
                for name in persist_cv_splits(X, y, n_cv_iter=SPLITS, name="x", random_state=0)
            ]
            away = cluster.folder / "away"
            away.mkdir()
            for name in names:
                (away / Path(name).name).hardlink_to(name)
            os.chdir(away)
            for name in cluster.folder.glob("x_*"):
                name.unlink()
            files.append(sum(Path(name).stat().st_size for name in names))
            counter.sent = 0
            search = GridSearch(cluster.client, return_train_score=False)
            grid = {"alpha": [1e-4 * (1 + n) for n in range(100 // SPLITS)]}
            search.launch_for_splits(SGDClassifier(max_iter=1, tol=None), grid, names)
            assert search.wait(900)
            assert search.failed() == []
            os.chdir("/")
            by_client.append(counter.sent / 1e6)
            between = sum(fetched for _, fetched in search.delivered().values())
            return (counter.sent + between) / 1e6

    def peer() -> float:
        with engines(node001=2, node002=2) as cluster:
            counter.sent = 0
            through_joblib(cluster, X, y)
            return counter.sent / 1e6 * 100 / FEW

    taken = in_turn(
        {"spotcluster": ours, "joblib's ipyparallel backend": peer},
        rounds,
        once="joblib's ipyparallel backend",
    )
    total = statistics.median(files) / 1e6
    mine, theirs = (statistics.median(values) for values in taken.values())
    own = statistics.median(by_client) / total
    show(
        f"megabytes sent for {total:.0f} MB of split files, 100 evaluations, {HOSTS} hosts",
        [(name, spread(values)) for name, values in taken.items()],
        f"of ours by the client: {spread(by_client)}, files x {own:.3f}",
        verdict("against files x hosts, 5 MB aside", (mine - 5) / (total * HOSTS), 1.05),
        against(mine, {"joblib's ipyparallel backend": theirs}),
    )


def through_joblib(cluster: Engines, X: Any, y: Any) -> None:
    """scikit-learn's search on the same engines, a part of it."""
    import ipyparallel
    import joblib
    from sklearn.model_selection import GridSearchCV, ShuffleSplit

    ipyparallel.register_joblib_backend()
    cv = ShuffleSplit(2, test_size=0.25)
    grid = {"alpha": [1e-4 * (1 + n) for n in range(FEW // 2)]}
    search = GridSearchCV(SGDClassifier(max_iter=1, tol=None), grid, cv=cv, refit=False)
    with joblib.parallel_config("ipyparallel", view=cluster.client.load_balanced_view()):
        search.fit(X, y)


if __name__ == "__main__":
    main()
