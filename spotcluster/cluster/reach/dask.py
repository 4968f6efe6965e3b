"""A dask client on this computer for a cluster's dask workers, through a tunnel of ours."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from spotcluster import ssh
from spotcluster.cluster.cluster import Cluster
from spotcluster.errors import ClusterError, ConnectionFailed, SpotclusterError, UsageError
from spotcluster.plugins.dask import INFO, KEYS, TOKEN

if TYPE_CHECKING:
    import distributed

_INSTALL = "Install it here with `pip install 'spotcluster[dask]'`."


def connect_dask(
    name: str, *, region: str | None = None, config: Path | None = None, timeout: float = 60.0
) -> distributed.Client:
    """Return a ``dask.distributed.Client`` for the dask workers of a running cluster.

    The cluster has them by the plugin ``spotcluster.plugins.dask.Dask``. The connection goes
    through an SSH tunnel that accepts the pinned host key only, and is encrypted with the cluster's
    own key; the end of a ``with`` block, or `close`, closes both. ``client.dashboard_link`` leads a
    browser of this computer to the dashboard for as long; it holds a token, which is a password.

    Parameters
    ----------
    name : str
        The cluster.
    region : str, optional
        Its region; by default those that the config speaks of are looked in.
    config : Path, optional
        The config file, by default ``~/.spotcluster/config`` if there is one.
    timeout : float
        Seconds to wait for the scheduler's answer.

    Raises
    ------
    UsageError
        dask is not installed here.
    ClusterError
        There is no such cluster, it has no scheduler, or that one is of other versions than what
        is installed here.

    Examples
    --------
    >>> import spotcluster
    >>> with spotcluster.connect_dask("mycluster") as client:  # doctest: +SKIP
    ...     client.submit(sum, [20, 22]).result()
    42
    """
    from spotcluster import config as configs
    from spotcluster.cluster import lookup

    own = _versions()
    cluster = lookup.locate(configs.load_if_there(config), name, region)
    try:
        return _client(cluster, _Scheduler.of(cluster), own, timeout)
    except BaseException:
        cluster.close()
        raise


@dataclass(frozen=True)
class _Scheduler:
    """What the master says of its dask scheduler."""

    host: str
    port: int
    dashboard: int
    versions: dict[str, str]
    keys: str = field(repr=False)
    token: str = field(repr=False)

    @classmethod
    def of(cls, cluster: Cluster) -> _Scheduler:
        """Ask for it.

        Raises
        ------
        ClusterError
            There is none.
        """
        account = cluster.master.account
        try:
            info, keys, token = (account.get(path).decode() for path in (INFO, KEYS, TOKEN))
            said = json.loads(info)
            host, _, port = said["address"].removeprefix("tls://").rpartition(":")
            return cls(
                host.strip("[]"),
                int(port),
                int(said["dashboard"]),
                {str(key): str(value) for key, value in said["versions"].items()},
                keys,
                token.strip(),
            )
        except ConnectionFailed:
            raise
        except (SpotclusterError, FileNotFoundError) as error:
            raise ClusterError(
                f"The cluster '{cluster.name}' has no dask scheduler: {error}",
                f"`spotcluster runplugin dask {cluster.name}` starts one; [plugin dask] in the"
                " config has SETUP_CLASS = spotcluster.plugins.dask.Dask.",
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ClusterError(
                f"What the master of '{cluster.name}' says of its dask scheduler, in {INFO}, is"
                f" damaged: {error}.",
                f"`spotcluster restart {cluster.name}` makes it anew.",
            ) from error


def _versions() -> dict[str, str]:
    """Return what is installed here of what must be the same there."""
    try:
        import distributed  # noqa: F401 - so that what it lacks is said first of all
    except ImportError as error:
        raise UsageError(f"dask is not installed here: {error}.", _INSTALL) from error
    own = {name: metadata.version(name) for name in ("dask", "distributed")}
    return {"Python": "{}.{}".format(*sys.version_info), **own}


def _check(cluster: Cluster, own: dict[str, str], theirs: dict[str, str]) -> None:
    """Say in which versions the two differ, before one does not understand the other.

    Raises
    ------
    ClusterError
        They do.
    """
    other = [key for key, value in own.items() if theirs.get(key) != value]
    if not other:
        return
    here = ", ".join(f"{key} {own[key]}" for key in other)
    there = ", ".join(f"{key} {theirs.get(key, 'unknown')}" for key in other)
    packages = " ".join(f"{key}=={theirs[key]}" for key in other if key in theirs)
    raise ClusterError(
        f"This computer has {here} and the dask scheduler of '{cluster.name}' {there}, so that"
        " they would not understand each other.",
        f"Connect from a Python {theirs['Python']}."
        if "Python" in other and "Python" in theirs
        else f"Install the same here: `pip install {packages}`.",
    )


def _client(
    cluster: Cluster, scheduler: _Scheduler, own: dict[str, str], timeout: float
) -> distributed.Client:
    import distributed

    _check(cluster, own, scheduler.versions)
    tunnel = ssh.Tunnel(
        cluster.master.target,
        [(scheduler.host, scheduler.port), ("127.0.0.1", scheduler.dashboard)],
    )

    class Client(distributed.Client):
        """A client whose end is that of its tunnel."""

        @property
        def dashboard_link(self) -> str:
            local = tunnel.local_port(scheduler.dashboard)
            return f"http://127.0.0.1:{local}/status?{urlencode({'token': scheduler.token})}"

        def close(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().close(*args, **kwargs)  # type: ignore[no-untyped-call]
            finally:
                tunnel.close()
                cluster.close()

    key, begin, certificate = scheduler.keys.partition("-----BEGIN CERTIFICATE-----")
    try:
        tunnel.start()
        return Client(  # type: ignore[no-untyped-call]
            f"tls://127.0.0.1:{tunnel.local_port(scheduler.port)}",
            security=distributed.Security(  # type: ignore[no-untyped-call]
                require_encryption=True,
                tls_ca_file=begin + certificate,
                tls_client_cert=begin + certificate,
                tls_client_key=key,
            ),
            timeout=timeout,
            direct_to_workers=False,  # they are behind the tunnel
        )
    except BaseException as error:
        tunnel.close()
        if isinstance(error, OSError):  # a TimeoutError too
            raise ClusterError(
                f"The dask scheduler of '{cluster.name}' did not answer within {timeout:.0f} s.",
                f"`spotcluster restart {cluster.name}` starts it again.",
            ) from error
        raise
