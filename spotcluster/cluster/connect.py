"""An ipyparallel client on this computer for a cluster's engines, through a tunnel of ours."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spotcluster import notify, ssh
from spotcluster.cluster import records
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node
from spotcluster.cluster.reporter import tell_lost
from spotcluster.errors import ClusterError, ConnectionFailed, SpotclusterError, UsageError
from spotcluster.ipyparallel_private import signed_by_curve
from spotcluster.node_layout import CLIENT_FILE

if TYPE_CHECKING:
    import ipyparallel

_PORTS = ("registration", "control", "mux", "task", "iopub", "notification", "broadcast")
# What the master's file does not decide: where the client connects to, and which code of this
# computer reads the answers. It may name any; `pickle` would let the master run what it likes here.
_HERE = {
    "interface": "tcp://127.0.0.1",
    "location": "127.0.0.1",
    "ssh": "",
    "pack": "json",
    "unpack": "json",
}
_PATIENCE = 20.0
"""Seconds without a connection after which EC2 is asked what has become of the cluster, and"""
_AGAIN = 60.0
"""between two times that it is."""


def tunnel(cluster: Cluster) -> tuple[ssh.Tunnel, dict[str, Any]]:
    """Open a tunnel to a cluster's controller.

    Returns
    -------
    Tunnel
        Close it when done.
    dict
        Connection info for ``ipyparallel.Client(connection_info=...)`` on this computer.
    """
    master = cluster.master
    try:
        said = master.account.get(CLIENT_FILE)
    except (SpotclusterError, FileNotFoundError) as error:
        if isinstance(error, ConnectionFailed):
            raise
        raise ClusterError(
            f"The cluster '{cluster.name}' has no controller: {error}",
            f"`spotcluster runplugin ipcluster {cluster.name}` starts one.",
        ) from error
    info = _parse(cluster, master, said)
    ports = {info[port]: (info["location"], info[port]) for port in _PORTS if port in info}
    opened = ssh.Tunnel(master.target, ports.values())
    opened.start()
    info |= {port: opened.local_port(info[port]) for port in _PORTS if port in info}
    return opened, info | _HERE


def _parse(cluster: Cluster, master: Node, said: bytes) -> dict[str, Any]:
    """Read the controller's connection file.

    Raises
    ------
    ClusterError
        It is damaged, as after a disk that was full.
    """
    with contextlib.suppress(ValueError):
        info = json.loads(said)
        if (
            isinstance(info, dict)
            and isinstance(info.get("key"), str)
            and isinstance(info.get("location"), str)
            and all(isinstance(info.get(port, 0), int) for port in _PORTS)
            and "registration" in info
        ):
            return info
    raise ClusterError(
        f"The connection file of the controller, {CLIENT_FILE} on the master of '{cluster.name}',"
        " is damaged.",
        f"`spotcluster sshmaster -u {master.account.name} {cluster.name} rm {CLIENT_FILE}`, then"
        f" `spotcluster restart {cluster.name}`, which makes it anew.",
    )


def connect(
    name: str, *, region: str | None = None, config: Path | None = None, timeout: float = 60.0
) -> ipyparallel.Client:
    """Return an ipyparallel client for the engines of a running cluster.

    The connection goes through an SSH tunnel that accepts the pinned host key only; it is closed
    with the client.

    What its load-balanced views send is sent again when the engine that had it is lost, up to three
    engines; what raised is not. `view.register_joblib_backend()` makes it joblib's backend, and
    scikit-learn's.

    Parameters
    ----------
    name : str
        The cluster.
    region : str, optional
        Its region; by default those that the config speaks of are looked in.
    config : Path, optional
        The config file, by default ``~/.spotcluster/config`` if there is one.
    timeout : float
        Seconds to wait for the controller's answer.

    Raises
    ------
    ClusterError
        There is no such cluster, or it has no controller.

    Examples
    --------
    >>> import spotcluster
    >>> client = spotcluster.connect("mycluster")  # doctest: +SKIP
    >>> view = client.load_balanced_view()  # doctest: +SKIP
    """
    from spotcluster import config as configs
    from spotcluster.cluster import lookup

    read = configs.load_if_there(config)
    cluster = lookup.locate(read, name, region)
    client = client_of(cluster, timeout=timeout)
    tell_of(client, cluster, read.global_settings.hook)
    return client


def tell_of(client: ipyparallel.Client, cluster: Cluster, hook: str | None) -> None:
    """Have the searches of a client tell a hook, and that once what others see too."""
    session, name = cluster.session, cluster.name
    notify.use(client, hook, name, lambda node: tell_lost(session, name, hook, node))


def client_of(cluster: Cluster, *, timeout: float = 60.0) -> ipyparallel.Client:
    """Return an ipyparallel client for the engines of `cluster`, as `connect` does.

    Closing it closes the tunnel, and the cluster's own connections.
    """
    from spotcluster import clients, depots
    from spotcluster.aws.buckets.objects import Bucket

    opened, info = tunnel(cluster)
    end = _End(opened, cluster)

    class Client(clients.Client):
        cluster_name = cluster.name

        def ended(self) -> tuple[str, str] | None:
            return end.told()

        def become_dask(self, *_: Any, **__: Any) -> None:
            """Refuse, before anything is opened: it would be of no use from here.

            The scheduler that ipyparallel starts is reached at the master's private address only,
            and there by everybody: it knows neither keys nor encryption.
            """
            raise UsageError(
                "Engines cannot become dask workers by a client that is not on the cluster, as"
                " ipyparallel's dask scheduler is not reached through its tunnel.",
                "Run the plugin for dask, and use `spotcluster.connect_dask`; or do it in a script"
                " on the master, with `spotcluster run`.",
            )

        become_distributed = become_dask

        def close(self, *args: Any, **kwargs: Any) -> None:
            super().close(*args, **kwargs)
            opened.close()
            cluster.close()

    try:
        with signed_by_curve(info):
            client = Client(connection_info=info, timeout=timeout)
        if bucket := cluster.record.template.splits_bucket:
            depots.use(client, Bucket(cluster.session, bucket))
        return client  # noqa: TRY300 - the handler closes what is not returned
    except BaseException as error:
        opened.close()
        cluster.close()
        if isinstance(error, TimeoutError):
            name = cluster.name
            raise ClusterError(
                f"The controller of '{name}' did not answer within {timeout:.0f} s.",
                f"`spotcluster runplugin ipcluster {name}` starts it again.",
            ) from error
        raise


class _End:
    """Whether a cluster was terminated or stopped, where the connection to it is lost.

    Else it may come back, as it does on a laptop that was asleep, and what was sent is answered.

    Parameters
    ----------
    opened : Tunnel
    cluster : Cluster
    """

    def __init__(self, opened: ssh.Tunnel, cluster: Cluster) -> None:
        self._tunnel = opened
        self._session = cluster.session
        self._record = cluster.record
        self._ask_at = 0.0
        self._told: tuple[str, str] | None = None

    def told(self) -> tuple[str, str] | None:
        """Return what has become of it and what to do, as far as is known; it costs no time."""
        if self._tunnel.alive:
            self._ask_at = 0.0
            return None
        now = time.monotonic()
        self._ask_at = self._ask_at or now + _PATIENCE
        if now >= self._ask_at:
            self._ask_at = now + _AGAIN
            threading.Thread(target=self._ask, name="spotcluster end", daemon=True).start()
        return self._told

    def _ask(self) -> None:
        own = self._record
        with contextlib.suppress(SpotclusterError):  # this computer may have no network
            now = records.find(self._session, own.name)
            if now is None or now.id != own.id or now.ending:
                how = "terminated"
            elif now.stopped:
                how = "stopped"
            else:
                return
            self._told = (
                f"The cluster '{own.name}' was {how}.",
                f"`spotcluster -r {self._session.region} start {own.name}`, connect to it, and"
                " resume the search from its ledger.",
            )
