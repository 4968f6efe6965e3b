"""Beside Ray on a node: says that it is there and whether it computes, and has it leave.

Arguments: the head's address, our own, the drain flag, and how many seconds what runs may take when
that is up. Ray gives the node nothing new then, and ends it as soon as nothing runs there.

On the master it writes whether anything of Ray runs anywhere, as autostop_work.py reads it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray._private.worker import global_worker

LOOK = 1.0  # seconds between two looks at the flag
BEAT = 10.0  # seconds between two times that it says whether anything runs
OWN = Path.home() / ".spotcluster" / "ray"
head, ip, flag, limit = sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4])
IS_HEAD = head.startswith(f"{ip}:")


def own() -> list[str]:
    """Return the id of this node's raylet, if Ray knows it."""
    nodes: list[dict[str, Any]] = ray.nodes()
    return [one["NodeID"] for one in nodes if one["NodeManagerAddress"] == ip and one["Alive"]]


def connect() -> None:
    """Connect to Ray, for as long as it takes until it is there."""
    why = ""
    while True:
        try:
            ray.init(
                head, _node_ip_address=ip, namespace="spotcluster", log_to_driver=False,
                logging_level="ERROR",
            )  # fmt: skip
            if own():
                return
            ray.shutdown()
        except Exception as error:  # noqa: BLE001 - whatever it is, it may be starting still
            if str(error) != why:  # it may be so for hours
                why = str(error)
                sys.stdout.write(f"not there yet: {why}\n")
        time.sleep(0.5)


def computes() -> bool:
    """Return whether something holds CPUs, or whatever else, or a program waits for something.

    An actor holds no CPU, unless it was told to, also while it computes for who has called it.
    """
    free, all_there = ray.available_resources(), ray.cluster_resources()
    wanted = [name for name in all_there if not name.startswith(("node:", "memory", "object_"))]
    if any(all_there[name] > free.get(name, 0.0) for name in wanted):
        return True
    told = global_worker.gcs_client.get_all_job_info(
        skip_submission_job_info_field=True, skip_is_running_tasks_field=False
    )
    return any(one.is_running_tasks for one in told.values() if not one.is_dead)


def note(*, busy: bool) -> None:
    """Write whether anything of Ray runs."""
    aside = OWN / "tasks.new"
    aside.write_text(f"{int(busy)}\n")
    aside.replace(OWN / "tasks")


def leave() -> None:
    """Have Ray give this node nothing new, and end it when it has nothing to do."""
    for node in own():
        words = ["drain-node", "--address", head, "--node-id", node]
        words += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "it leaves"]
        words += ["--deadline-remaining-seconds", f"{limit:.0f}"]
        subprocess.run([sys.executable, "-m", "ray.scripts.scripts", *words], check=False)
    ray.shutdown()  # a program of the node's is something to do


connect()
(OWN / "ready").write_text(f"{os.getpid()}\n")
if IS_HEAD:
    note(busy=True)  # until we know; who says nothing for long has not said that nothing runs
noted = -BEAT
while IS_HEAD or not flag.exists():
    if IS_HEAD and time.monotonic() - noted >= BEAT:
        noted = time.monotonic()
        try:
            note(busy=computes())
        except Exception as error:  # noqa: BLE001 - a full disk, a head that is busy: it may be over soon
            sys.stdout.write(f"whether anything runs is not known: {error}\n")
    time.sleep(LOOK)
leave()
