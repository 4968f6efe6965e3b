"""JupyterLab on the master: a service of the cluster user's that only the master itself reaches."""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass
from urllib.parse import urlencode

from spotcluster import ssh, templates
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.on_master import library
from spotcluster.cluster.reach import forward
from spotcluster.plugins import environment, supervisor
from spotcluster.plugins.pypackages import PyPkgInstaller

_SERVICE = "notebook"
_OWN = "~/.spotcluster/notebook"
_START_LIMIT = 120.0
_FILES = {
    "notebook_config.py": f"{_OWN}/config/jupyter_server_config.py",
    "notebook_startup.py": f"{_OWN}/ipython/profile_default/startup/00-spotcluster.py",
}


@dataclass(frozen=True)
class Notebook:
    """JupyterLab as this computer reaches it.

    Attributes
    ----------
    tunnel : Tunnel
        Leads to it; whoever closes it leaves the server running.
    url : str
        Where a browser finds it; holds the token, which is a password.
    """

    tunnel: ssh.Tunnel
    url: str


def start(cluster: Cluster, *, port: int = 0) -> Notebook:
    """Start JupyterLab on the master, unless it runs there, and open a tunnel to it.

    Parameters
    ----------
    port : int
        The port on this computer; any that is free unless given.

    Raises
    ------
    RemoteCommandFailed
        It could not be installed, or did not start; carries what it printed.
    UsageError
        The port is taken.
    """
    master = cluster.master
    account = master.account
    if not environment.has(master, "jupyterlab"):
        cluster.note("installing JupyterLab on the master ...")
        _install(cluster)
    own = library.install(cluster)
    for name, target in _FILES.items():
        account.put(templates.read(name).encode(), target)
    _make_token(cluster)
    supervisor.install(master, _SERVICE, templates.read("notebook.sh"))
    supervisor.of(master).start(_SERVICE)
    _python(cluster, own.python, "notebook_first.py", cluster.name)
    said = _python(cluster, own.python, "await_notebook.py", f"{_START_LIMIT:.0f}")
    there = int(said)
    token = account.get(f"{_OWN}/token").decode().strip()
    tunnel = ssh.Tunnel(master.target, {port: ("127.0.0.1", there)})
    tunnel.start()
    query = urlencode({"token": token})
    return Notebook(
        tunnel, f"http://127.0.0.1:{tunnel.local_port(there)}/lab/tree/start.ipynb?{query}"
    )


def keep_open(cluster: Cluster, opened: Notebook) -> None:
    """Wait as long as the tunnel leads somewhere; an interrupt is passed on.

    Raises
    ------
    ClusterError
        The master has stopped or ended; a tunnel to it can come back no more.
    """
    forward.keep_open(cluster, [(cluster.master, opened.tunnel)])


def stop(cluster: Cluster) -> bool:
    """Stop it, with all its kernels; it does not come back with a reboot. False where none ran."""
    own = supervisor.of(cluster.master)
    ran = any(own.status(_SERVICE).values())
    own.stop(_SERVICE)
    cluster.master.account.run(f"rm -f {_OWN}/port", what="stopping JupyterLab", timeout=30)
    return ran


def _install(cluster: Cluster) -> None:
    """Install it into the cluster's environment, as the cluster's packages were."""
    plugins = [one for _, one in cluster.usable_plugins() if isinstance(one, PyPkgInstaller)]
    settings = plugins[0] if plugins else PyPkgInstaller()
    wanted = {"jupyterlab": "jupyterlab"}
    environment.complete(cluster.master, wanted, python=settings.python, index=settings.index)


def _make_token(cluster: Cluster) -> None:
    """Give it a token where it has none: in a file, since anybody may read command lines."""
    cluster.master.account.run(
        f"umask 077\nmkdir -p {_OWN}\n[ -s {_OWN}/token ] || "
        f"{{ cat >{_OWN}/token.new && mv {_OWN}/token.new {_OWN}/token; }}\n",
        what="making a token",
        timeout=30,
        input=secrets.token_urlsafe(32).encode(),
    )


def _python(cluster: Cluster, python: str, program: str, *arguments: str) -> str:
    command = shlex.join([python, "-c", templates.read(program), *arguments])
    what = "starting JupyterLab"
    return cluster.master.account.run(f"umask 077\n{command}", what=what, timeout=_START_LIMIT + 30)
