#!/usr/bin/env bash
# dask: what `Client.run` runs has the worker do nothing else meanwhile, idle threads or not.
#
# It is the documented way to have a function run on workers beside the tasks, "outside of the task
# scheduling system", and one would think: in a thread. It is run by the event loop itself, so that a
# worker with two idle threads begins no task, and answers nobody, until it is done. `submit` with
# `workers=` and a priority takes a thread, and the others go on.
# Source: distributed/worker.py, run().
# Ours: spotcluster/search/backends/dask.py, where calls to hosts are tasks.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet distributed==2026.8.0
cat >"$folder/finding.py" <<'PYTHON'
import threading
import time

import distributed


def waits(seconds=3.0):
    time.sleep(seconds)
    return "waited"


def one():
    return 1


def latency(client, begin):
    """Return how long a task takes that is sent while `begin` keeps the worker waiting."""
    other = threading.Thread(target=begin)
    other.start()
    time.sleep(1.0)
    since = time.monotonic()
    assert client.submit(one, pure=False).result(60) == 1
    took = time.monotonic() - since
    other.join()
    return took


if __name__ == "__main__":
    print("distributed", distributed.__version__)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert client.submit(one, pure=False).result(60) == 1  # all is there
        task = latency(client, lambda: client.submit(waits, pure=False).result(60))
        print(f"while a task waits for 3 s in one of two threads, another takes {task:.1f} s")
        run = latency(client, lambda: client.run(waits))
        print(f"while `run` waits for 3 s, a task takes {run:.1f} s")
    assert task < 1.0 < run, (task, run)
PYTHON
"$folder/venv/bin/python" "$folder/finding.py"
echo "Seen again: what run runs holds up its worker."
