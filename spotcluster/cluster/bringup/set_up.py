"""Making a machine a node: its user, its name, its host key, as far as the machine lets us."""

from __future__ import annotations

from dataclasses import dataclass, field

from spotcluster import ssh, templates
from spotcluster.cluster.bringup import hostkeys, hostnames
from spotcluster.cluster.bringup.tagging import Tagger
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Account, Node
from spotcluster.cluster.volumes import mounting
from spotcluster.cluster.volumes.mounting import Outcome

UID = 2016
"""The cluster user's number, the same on every node."""

_ALIASES = "/etc/spotcluster/ssh"
_PROGRAMS = "/etc/spotcluster/bin"


@dataclass(frozen=True)
class Equipped:
    """What came of making a machine a node.

    Attributes
    ----------
    left_out : tuple of str
        The steps that the machine could not do, in words.
    volumes : Outcome
        What came of mounting the cluster's volumes, on its master.
    """

    left_out: tuple[str, ...] = ()
    volumes: Outcome = field(default_factory=Outcome)


def equip(cluster: Cluster, node: Node, tagger: Tagger, *, format_new: bool = False) -> Equipped:
    """Do all that needs nobody but the node.

    Parameters
    ----------
    format_new : bool
        Whether volumes that nothing was ever written to get a file system.
    """
    template = cluster.record.template
    facts = node.prepare()
    left_out = []
    volumes = Outcome()
    if facts.has_units:
        hostkeys.renew(tagger, node)
    if facts.sudo:
        hostname = hostnames.of(cluster.name, node.alias, dns_prefix=template.dns_prefix)
        left_out += _make_machine(node, hostname, template.cluster_user, template.cluster_shell)
        facts = node.prepare()
    else:
        left_out += [f"the user {template.cluster_user}", "host names", "/etc/hosts"]
    if not facts.has_units:
        left_out += ["systemd units", "a host key of the node's own"]
    left_out += _bring_tmux(node)
    _make_folders(node, node.target.user, ssh.keys.public_of(node.key_path))
    if facts.account:
        _make_folders(node, facts.account, ssh.keys.public_of(node.key_path))
    if node.is_master:
        if not facts.cluster_key:
            give_cluster_key(node)
        node.prepare()
        volumes = mounting.bring(cluster, node, format_new=format_new)
        left_out += volumes.left_out
    return Equipped(tuple(left_out), volumes)


def give_cluster_key(master: Node) -> None:
    """Give the master's login the key by which it reaches the other nodes."""
    pair = ssh.keys.generate()
    # By a script: SFTP ends at the first word that a login's profile prints.
    login = Account(master, master.target.user, master.facts.home)
    login.put(pair.private.encode(), "~/.ssh/id_ed25519")
    login.put(f"{pair.public}\n".encode(), "~/.ssh/id_ed25519.pub")


def _make_machine(node: Node, hostname: str, account: str, shell: str) -> list[str]:
    machine = templates.script(
        "machine.sh",
        alias=node.alias,
        hostname=hostname,
        address=node.private_ip,
        account=account,
        shell=shell,
        uid=UID,
        login=node.target.user,
        programs=_PROGRAMS,
    )
    # The line in /etc/hosts comes before the name: sudo looks its own machine's name up.
    script = "\n".join([machine, templates.read("hosts.sh"), templates.read("hostname.sh")])
    said = node.run(script, what="making it a node", timeout=120, user="root")
    return said.splitlines()


def _bring_tmux(node: Node) -> list[str]:
    """Install tmux where it is missing; return that it cannot be had, in words."""
    facts = node.facts
    if facts.tmux:
        return []
    if not facts.sudo or not facts.package_manager:
        return ["tmux"]
    script = templates.script("tmux.sh", manager=facts.package_manager)
    return node.run(script, what="installing tmux", timeout=120, user="root").splitlines()


def _make_folders(node: Node, user: str, key: str) -> None:
    is_login = user == node.target.user
    script = templates.script(
        "account.sh",
        master=node.is_master,
        aliases=_ALIASES if node.facts.sudo else "",
        keys="" if is_login else ssh.keys.bare(key),
        own=not is_login,
        programs=_PROGRAMS if is_login and node.facts.account else "",
    )
    node.run(script, what=f"preparing the folders of {user}", timeout=60, user=user)
