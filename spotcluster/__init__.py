"""Model search on EC2 spot clusters: on-demand master, spot workers, ipyparallel engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spotcluster.cluster.connect import connect

__version__ = "0.1.0"
__all__ = ["__version__", "connect"]


def __getattr__(name: str) -> Any:
    # Imported when used: the command line answers --help without boto3, paramiko or numpy.
    if name == "connect":
        from spotcluster.cluster.connect import connect

        return connect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
