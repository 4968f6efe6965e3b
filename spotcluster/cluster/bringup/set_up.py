"""Making a machine a node: its user, its name, its host key, as far as the machine lets us."""

from __future__ import annotations

from dataclasses import dataclass, field

from spotcluster import ssh, templates
from spotcluster.cluster.bringup import autostop, hostkeys, naming
from spotcluster.cluster.bringup.together.tagging import Tagger
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Account, Facts, Node, asking
from spotcluster.cluster.volumes import everywhere, mounting
from spotcluster.cluster.volumes.mounting import Outcome
from spotcluster.plugins import sharing, supervisor
from spotcluster.steps import Step

UID = 2016
"""The cluster user's number, the same on every node."""

_ALIASES = "/etc/spotcluster/ssh"
_PROGRAMS = "/etc/spotcluster/bin"
_NOTICES = "notices"  # the service
_MACHINE, _TMUX = "making it a node", "installing tmux"


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
    made = node.run_each([sharing.checking(), asking(), *hostkeys.making(node)])[1:]
    facts = node.learn(made[0])
    login = node.target.user
    account = template.cluster_user if facts.sudo and template.cluster_user != login else ""
    left_out = lacking(cluster, facts)
    steps: list[Step] = []
    if facts.has_units and not hostkeys.is_own(node):
        steps += hostkeys.announce(tagger, node, made[1])
    if facts.sudo:
        hostname = naming.hostname(cluster.name, node.alias, dns_prefix=template.dns_prefix)
        steps.append(_machine(node, hostname, template.cluster_user, template.cluster_shell))
    if facts.sudo and facts.package_manager and not facts.tmux:
        script = templates.script("tmux.sh", manager=facts.package_manager)
        steps.append(Step(script, _TMUX, timeout=120, user="root"))
    steps += [
        _folders(node, user, account, cluster.public_keys) for user in (login, account) if user
    ]
    steps += autostop.starting(cluster, node)
    steps.append(asking())
    answers = node.run_each(steps)
    said = {step.what: one for step, one in zip(steps, answers, strict=True)}
    hostkeys.conclude(tagger, node, said)
    facts = node.learn(answers[-1])
    for what in (_MACHINE, _TMUX):
        left_out += said.get(what, "").splitlines()
    left_out += everywhere.bring(cluster, node)
    volumes = Outcome()
    if node.is_master:
        if watched := watching(node):
            node.run_each(watched)
        if not facts.cluster_key:
            give_cluster_key(node)
            node.prepare()
        volumes = mounting.bring(cluster, node, format_new=format_new)
        left_out += volumes.left_out
    return Equipped(tuple(left_out), volumes)


def lacking(cluster: Cluster, facts: Facts) -> list[str]:
    """Return what a node is left without, by what its machine has."""
    found = []
    if not facts.sudo:
        found += [f"the user {cluster.record.template.cluster_user}", "host names", "/etc/hosts"]
    if not facts.python:
        found.append("the autostop, which needs a Python")
    if not facts.has_units:
        found += ["systemd units", "a host key of the node's own"]
    if not (facts.tmux or (facts.sudo and facts.package_manager)):
        found.append("tmux")
    return found


def watching(node: Node) -> list[Step]:
    """Return the steps that have a node watch for what EC2 says of its machine.

    They need its account. There are none on demand, as such a node is not taken back.
    """
    if not node.instance.spot:
        return []
    script = templates.read(f"{_NOTICES}.sh")
    starting = supervisor.of(node).starting(_NOTICES)
    return [supervisor.installing(node, _NOTICES, script), *starting]


def give_cluster_key(master: Node) -> None:
    """Give the master's login the key by which it reaches the other nodes."""
    pair = ssh.keys.generate()
    # By a script: SFTP ends at the first word that a login's profile prints.
    login = Account(master, master.target.user, master.facts.home)
    login.put(pair.private.encode(), "~/.ssh/id_ed25519")
    login.put(f"{pair.public}\n".encode(), "~/.ssh/id_ed25519.pub")


def _machine(node: Node, hostname: str, account: str, shell: str) -> Step:
    machine = templates.script(
        "machine.sh",
        account=account,
        shell=shell,
        uid=UID,
        login=node.target.user,
        programs=_PROGRAMS,
    )
    own = templates.assigned(aliases=[node.alias], addresses=[node.private_ip], hostname=hostname)
    # The line in /etc/hosts comes before the name: sudo looks its own machine's name up.
    parts = [machine, own, templates.read("hosts.sh"), templates.read("hostname.sh")]
    return Step("\n".join(parts), _MACHINE, timeout=120, user="root")


def _folders(node: Node, user: str, account: str, key: str) -> Step:
    is_login = user == node.target.user
    script = templates.script(
        "account.sh",
        master=node.is_master,
        aliases=_ALIASES if node.facts.sudo else "",
        keys="" if is_login else key,
        own=not is_login,
        programs=_PROGRAMS if is_login and account else "",
    )
    return Step(script, f"preparing the folders of {user}", user=user)
