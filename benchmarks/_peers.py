"""The peers that have workers of their own, on this computer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from _bench import leave_nothing_behind


@contextmanager
def dask_client(workers: int) -> Iterator[Any]:
    """Start dask's workers, a process with one thread each."""
    from distributed import Client, LocalCluster

    quiet = {"dashboard_address": None, "silence_logs": logging.ERROR}
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, **quiet) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(workers, timeout=300)
        yield client


@contextmanager
def ray_module(workers: int) -> Iterator[Any]:
    """Start ray's workers."""
    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level="error")
    leave_nothing_behind()  # ray has put its own handler in place
    try:
        yield ray
    finally:
        ray.shutdown()
