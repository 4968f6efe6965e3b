"""`spotcluster.start` and `spotcluster.plan`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from spotcluster.api import reporting, starting
from spotcluster.api.clusters import Cluster, still_there
from spotcluster.api.scope import Scope
from spotcluster.api.seen import AnyPath
from spotcluster.cluster.bringup.plans import Plan


def start(
    template: str | None,
    name: str,
    size: int | None = None,
    bid: float | None = None,
    *,
    region: str | None = None,
    config: AnyPath | None = None,
    on_failure: str = "replace",
    allow: tuple[str, ...] = (),
    format_new: bool = False,
    quiet: bool = False,
    **overrides: Any,
) -> Cluster:
    """Start a cluster as the command `start` does, and wait until it is ready.

    In a ``with`` statement the cluster is terminated where the block ends, also when that is by an
    exception or Ctrl-C, and so are its nodes' disks. Without ``with`` it goes on until something
    ends it.

    Parameters
    ----------
    template : str or None
        Of the config; None for the default one, or that of a cluster that exists.
    name : str
    size : int, optional
        Nodes, the master included.
    bid : float, optional
        Workers are spot instances at this price in USD per hour at most.
    region, config, quiet
        As for `Cluster`.
    on_failure : {"replace", "drop", "abort"}
        What is done about a node that does not get ready.
    allow : tuple of str
        CIDR blocks that may reach SSH too.
    format_new : bool
        Whether volumes that nothing was ever written to are formatted.
    **overrides
        What else the flags of the command say, by the template's names of it in lower case:
        ``node_instance_type``, ``autostop``, ``budget`` and so on.

    Returns
    -------
    Cluster
        Ready. Of workers that did not get ready is warned.

    Raises
    ------
    UsageError, ConfigError
        Something of it cannot be, or the cluster runs already; nothing has been made.
    SpotclusterError
        It did not start; what there is of it costs money, and the error says what ends that.

    Examples
    --------
    >>> with spotcluster.start("iptemplate", "mycluster", size=3, bid=0.5) as cluster:
    ...     search = GridSearch(cluster.client, SVC(), grid).fit(X, y)  # doctest: +SKIP
    """
    scope = Scope(Path(config) if config else None, region)
    with reporting.progress(f"starting {name}", quiet=quiet) as reporter:
        try:
            result = starting.begun(
                *(scope, name, reporter, template),
                size=size,
                bid=bid,
                on_failure=on_failure,
                allow=allow,
                format_new=format_new,
                overrides=starting.checked(overrides),
            )
            starting.concluded(result, scope.hook)
            starting.check_master(result)
            result.cluster.close()
            place = result.cluster.region
            cluster = Cluster(name, region=place, config=config, quiet=quiet, ends=True)
        except BaseException as error:
            still_there(error, name, region)
            raise
    if problem := result.problem:
        warnings.warn(str(problem), stacklevel=2)
    return cluster


def plan(
    template: str | None,
    name: str,
    size: int | None = None,
    bid: float | None = None,
    *,
    region: str | None = None,
    config: AnyPath | None = None,
    format_new: bool = False,
    **overrides: Any,
) -> Plan:
    """Return what `start` would launch, and at which price, as ``start --dry-run``; make nothing.

    Parameters
    ----------
    template, name, size, bid, region, config, format_new, **overrides
        As for `start`.
    """
    return starting.planned(
        *(Scope(Path(config) if config else None, region), name, template),
        size=size,
        bid=bid,
        format_new=format_new,
        overrides=starting.checked(overrides),
    )
