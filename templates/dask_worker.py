"""What each of dask's workers on a node preloads: it leaves when its node does.

When the node's drain flag is up, or that of its workers, it takes nothing new, finishes what it
runs, has its results moved to other workers and ends with its nanny. So `removenode` and EC2's
notices need nobody who talks to the scheduler. Who removes the node waits no longer than a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

from distributed.core import Status

LOOK = 1.0  # seconds between two looks at the flags
OWN = Path.home() / ".spotcluster" / "dask"
FLAGS = (Path(os.environ["SPOTCLUSTER_DRAIN_FLAG"]), OWN / "leave")
THERE = OWN / "workers"  # a file for each that the scheduler knows
watches: list[asyncio.Task[None]] = []


async def watch(worker: Any) -> None:
    """Say that the worker is there when it is, and have it leave when it is to."""
    while worker.status is not Status.running:
        await asyncio.sleep(0.05)
    (THERE / str(worker.name)).write_text(f"{os.getpid()}\n")
    while not any(flag.exists() for flag in FLAGS):
        await asyncio.sleep(LOOK)
    await leave(worker)


async def leave(worker: Any) -> None:
    """Have everything moved, and end.

    Where no other worker can take its results it stays, as one may come.
    """
    while True:
        # From the first of these on it gets nothing new. What it ends afterwards is moved as well.
        moved = await retire(worker, remove=False)
        if moved and not (worker.state.executing or worker.state.long_running):
            break
        await asyncio.sleep(LOOK)
    await retire(worker, remove=True)
    await worker.close(nanny=True, reason="its node leaves")


async def retire(worker: Any, *, remove: bool) -> bool:
    """Have the scheduler move the results elsewhere; return whether it could."""
    with contextlib.suppress(OSError):  # it is being started again
        return bool(
            await worker.scheduler.retire_workers(
                workers=[worker.address], close_workers=False, remove=remove
            )
        )
    return False


async def dask_setup(worker: Any) -> None:
    """Begin, as the worker begins: the scheduler does not know it yet."""
    watches.append(asyncio.create_task(watch(worker)))


async def dask_teardown(worker: Any) -> None:
    """End, as the worker ends, which may be our own doing."""
    (THERE / str(worker.name)).unlink(missing_ok=True)
