"""Model search on EC2 spot clusters: on-demand master, spot workers, ipyparallel engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spotcluster.api.account import Account
    from spotcluster.api.clusters import Cluster
    from spotcluster.api.start import plan, start
    from spotcluster.cluster.connect import connect
    from spotcluster.cluster.reach.dask import connect_dask

__version__ = "0.1.0"
__all__ = ["Account", "Cluster", "__version__", "connect", "connect_dask", "plan", "start"]

_WHERE = {
    "Account": "api.account",
    "Cluster": "api.clusters",
    "connect": "cluster.connect",
    "connect_dask": "cluster.reach.dask",
    "plan": "api.start",
    "start": "api.start",
}


def __getattr__(name: str) -> Any:
    # Imported when used: the command line answers --help without boto3, paramiko or numpy.
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"spotcluster.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
