"""The cluster user's home and the master's volumes on every node, by NFS."""

from __future__ import annotations

from collections.abc import Sequence

from spotcluster import templates, threads
from spotcluster.errors import SpotclusterError
from spotcluster.plugins import sharing
from spotcluster.plugins.base import Cluster, Node, Plugin
from spotcluster.plugins.sharing import Home, Mount
from spotcluster.steps import Step

_CHANGING = "letting nodes mount its files"
# Who reads from a master that is gone gets an error after a minute. What opens a file waits longer,
# as the kernel renews its lease first: see `abandon` in shared.sh. `softreval` lets paths that are
# known be walked all the same. Nothing that lies there makes anybody root on a node.
_OPTIONS = "vers=4.2,proto=tcp,sec=sys,softerr,softreval,timeo=50,retrans=2,retry=0,nosuid,nodev"


class NFS(Plugin):
    """Share the cluster user's home and the master's volumes with all nodes, by NFS.

    Name it before `IPCluster` in ``PLUGINS``, so that engines start in the shared home. In that
    home ``~/.spotcluster`` and ``~/.cache`` stay each node's own.
    """

    def setup(self, cluster: Cluster, node: Node) -> None:
        """Serve them on the master, and mount them on every other node."""
        if not node.facts.has_units:
            if node.is_master:
                cluster.note(
                    "no files are shared by NFS: that takes sudo without a password and systemd,"
                    f" which {node.alias} does not have"
                )
            return
        if node.is_master:
            _serve(cluster, node, fresh=False)
        else:
            _mount(cluster, node)

    def restart(self, cluster: Cluster, node: Node) -> None:
        """Do it again; nodes that have not come back are no longer let in."""
        if node.is_master and node.facts.has_units:
            _serve(cluster, node, fresh=True)
        else:
            self.setup(cluster, node)

    def remove(self, cluster: Cluster, node: Node) -> None:
        """Unmount them on the node, which is no longer let in."""
        if not node.facts.has_units:
            return
        try:
            node.run_each([sharing.releasing(sharing.HOME_SERVICE, ends=True)])
        finally:
            _change_exports(cluster, [node], let_in=False)

    def reboot(self, cluster: Cluster) -> None:
        """Unmount them on all nodes, so that none waits for a master that is down."""
        _release(cluster)

    def shutdown(self, cluster: Cluster) -> None:
        """Unmount them on nodes that come back, and let go of the volumes that are served."""
        if not cluster.ending:
            _release(cluster)
        if cluster.volumes and cluster.master.facts.has_units:
            cluster.master.run(
                "! [ -e /etc/exports.d/spotcluster.exports ] || systemctl stop nfs-server.service",
                what="serving no more files",
                timeout=30,
                user="root",
            )


def _serve(cluster: Cluster, master: Node, *, fresh: bool) -> None:
    serving = Step(
        templates.script("nfs_server.sh", fresh=fresh), "serving files", 120, user="root"
    )
    steps = [serving]
    if _home(master):
        # Who comes by the shared home has the key that is in it.
        script = 'key=$(cat "$HOME/.ssh/id_ed25519.pub")\n' + templates.read("authorize.sh")
        steps.append(Step(script, "letting its own user in", user=master.account.name))
    else:
        cluster.note(
            f"the home of {master.account.name} is not shared, as it is the login's own, by which"
            " nodes are reached; another CLUSTER_USER has one that is"
        )
    sharing.run(master, "server", steps)


def _mount(cluster: Cluster, node: Node) -> None:
    master = cluster.master

    def let_in(nodes: Sequence[Node]) -> list[str]:
        return _change_exports(cluster, nodes, let_in=True)

    uid, *paths = cluster.together((sharing.HOME_SERVICE, master.instance.id), node, let_in)
    mounts = [Mount(path, f"{master.alias}:{path}", _OPTIONS, master.alias) for path in paths]
    if not mounts:
        return
    own = node.account
    home = Home(own.name, own.home, int(uid)) if own.home in paths else None
    sharing.run(node, "client", [sharing.mounting(sharing.HOME_SERVICE, mounts, home)])


def _change_exports(cluster: Cluster, nodes: Sequence[Node], *, let_in: bool) -> list[str]:
    """Let nodes mount the master's files, or no longer; return its user's number, and them."""
    master = cluster.master
    script = templates.script(
        "nfs_exports.sh",
        let_in=let_in,
        addresses=[node.private_ip for node in nodes],
        account=master.account.name,
        home=_home(master),
        volumes=[one.mount_path for one in cluster.volumes],
    )
    return master.run(script, what=_CHANGING, timeout=90, user="root").splitlines()


def _home(master: Node) -> str:
    """Return the home that is shared; empty where the account is the login itself."""
    return master.account.home if master.facts.account else ""


def _release(cluster: Cluster) -> None:
    def release(node: Node) -> None:
        if node.is_master or not node.facts.has_units:
            return
        try:
            node.run_each([sharing.releasing(sharing.HOME_SERVICE, ends=False)])
        except SpotclusterError as error:
            cluster.note(str(error))

    threads.on_each(cluster.nodes, release, lambda node: node.alias)
