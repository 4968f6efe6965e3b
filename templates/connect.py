"""`spotcluster.connect` as the master has it: nothing is between it and the controller.

A program that was written on the laptop runs on the master as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spotcluster import node_layout
from spotcluster.errors import ClusterError
from spotcluster.ipyparallel_private import signed_by_curve

if TYPE_CHECKING:
    import ipyparallel

_ROOT = Path(node_layout.ROOT).expanduser()
_FILE = Path(node_layout.CLIENT_FILE).expanduser()


def connect(name: str = "", *, timeout: float = 60.0, **_: Any) -> ipyparallel.Client:
    """Return an ipyparallel client for the engines of this master's cluster.

    Parameters
    ----------
    name : str
        The cluster; there is but this one.
    timeout : float
        Seconds to wait for the controller's answer.

    Raises
    ------
    ClusterError
        This is the master of another cluster, or it has no controller.
    """
    from spotcluster.clients import Client

    own = (_ROOT / "cluster").read_text().strip()
    if name not in ("", own):
        raise ClusterError(
            f"This is the master of '{own}', from where no other cluster can be reached.",
            f"Connect to '{name}' on your own computer.",
        )
    if not _FILE.exists():
        raise ClusterError(
            f"The cluster '{own}' has no controller.",
            f"`spotcluster runplugin ipcluster {own}` starts one.",
        )
    try:
        with signed_by_curve(json.loads(_FILE.read_text())):
            return Client(connection_info=str(_FILE), timeout=timeout)
    except (AttributeError, KeyError, ValueError) as error:
        raise ClusterError(
            f"The connection file of the controller of '{own}', {_FILE}, is damaged.",
            f"Remove it, then `spotcluster restart {own}` makes it anew.",
        ) from error
    except TimeoutError as error:
        raise ClusterError(
            f"The controller of '{own}' did not answer within {timeout:.0f} s.",
            f"`spotcluster runplugin ipcluster {own}` starts it again.",
        ) from error
