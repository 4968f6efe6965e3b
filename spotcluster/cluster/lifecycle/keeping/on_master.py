"""The keeper as a service on the master: what the master is brought for it, and whether it runs.

It runs as the master's login, whose key the other nodes let in, with an environment and a home of
its own, and by the role of the instance profile. The code is this computer's, in its version.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from importlib.resources.abc import Traversable

from spotcluster import templates
from spotcluster.aws import network, tags
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.lifecycle.keeping import wanted
from spotcluster.cluster.lifecycle.keeping.decision import Rules
from spotcluster.cluster.lifecycle.keeping.service import LONGEST
from spotcluster.cluster.node import Account, Node
from spotcluster.cluster.on_master import library
from spotcluster.cluster.secrets import without_secrets
from spotcluster.config import Template
from spotcluster.errors import ClusterError, SpotclusterError, UsageError
from spotcluster.plugins import environment, supervisor
from spotcluster.plugins.pypackages import PyPkgInstaller
from spotcluster.steps import Step

PACKAGES = ("boto3", "packaging", "paramiko", "psutil", "pydantic", "pyzmq")
"""What it imports that is not ours."""

logger = logging.getLogger("spotcluster.keeper")

_SERVICE = "keeper"
_ROOMS = ("aws", "cluster", "config", "plugins", "ssh", "templates")
_HOME = ".spotcluster/keeper"


def refusals(template: Template) -> list[UsageError]:
    """Return why a master could not make nodes by this template; no call is made."""
    if template.instance_profile is None:
        return []
    found = []
    if template.userdata_scripts:
        found.append(
            UsageError(
                "INSTANCE_PROFILE: the master cannot launch nodes with USERDATA_SCRIPTS, which are"
                " files of this computer.",
                "Leave one of the two out, and use `spotcluster keep` from here.",
            )
        )
    for section in without_secrets(template).plugins:
        if section.withheld:
            names = " and ".join(key.upper() for key in section.withheld)
            found.append(
                UsageError(
                    f"INSTANCE_PROFILE: the master cannot run [plugin {section.name}] on new"
                    f" nodes, as {names} is a secret, which stays on this computer.",
                    "Leave one of the two out, and use `spotcluster keep` from here.",
                )
            )
        elif not section.setup_class.startswith("spotcluster.plugins."):
            found.append(
                UsageError(
                    f"INSTANCE_PROFILE: the master does not have {section.setup_class} of [plugin"
                    f" {section.name}], which new nodes would need.",
                    "Leave one of the two out, and use `spotcluster keep` from here.",
                )
            )
    return found


def begin(cluster: Cluster) -> bool:
    """Have the master keep the cluster's size, where it has a role and nobody said otherwise."""
    master = cluster.live_master
    if not cluster.record.keeps_itself or master is None:
        return False
    home = f"{master.facts.home}/{_HOME}"
    plugins = [one for _, one in cluster.usable_plugins() if isinstance(one, PyPkgInstaller)]
    settings = plugins[0] if plugins else PyPkgInstaller()
    environment.install_apart(master, home, PACKAGES, python=settings.python, index=settings.index)
    digest = _bring(cluster, home)
    login = Account(master, master.target.user, master.facts.home)
    script = templates.script(
        "keeper.sh",
        home=home,
        library=f"{home}/lib/{digest}",
        cluster=cluster.name,
        key=f"{master.facts.home}/.ssh/id_ed25519",
        region=cluster.session.ec2.meta.region_name,
        longest=str(LONGEST),
        address=master.private_ip,
    )
    # The master reaches itself as it reaches the others.
    own = templates.script("authorize.sh", key=master.facts.cluster_key)
    master.run_each([Step(own, "letting the keeper in")])
    login.put(script.encode(), f"~/.spotcluster/services/{_SERVICE}", mode=0o700)
    service = _supervisor(master)
    service.stop(_SERVICE)  # one of another version, or with other rules
    service.start(_SERVICE)
    return True


def begin_or_say(cluster: Cluster) -> bool:
    """Do so; where that fails the cluster is of use all the same, and it is said."""
    try:
        begun = begin(cluster)
    except SpotclusterError as error:
        cluster.note(
            f"the master does not keep the size of '{cluster.name}': {error.message}"
            f" `spotcluster keep --on-master {cluster.name}` tries it again."
        )
        return False
    if begun:
        cluster.note(f"the master of '{cluster.name}' keeps its size: what is lost is replaced")
    return begun


def begin_where_missing(cluster: Cluster) -> bool:
    """Do so where the master can be asked, and has no such service that runs."""
    master = cluster.live_master
    if not cluster.record.keeps_itself or master is None:
        return False
    try:
        if any(_supervisor(master).status(_SERVICE).values()):
            return False
    except SpotclusterError as error:
        logger.info("the keeper of %s: %s", cluster.name, error)
        return False
    return begin_or_say(cluster)


def set_rules(cluster: Cluster, rules: Rules) -> None:
    """Write down how the master is to keep the cluster, and have it do so.

    Raises
    ------
    ClusterError
        The master has no role.
    """
    if cluster.record.template.instance_profile is None:
        raise ClusterError(
            f"The master of '{cluster.name}' has no credentials to keep it with.",
            "Start clusters with INSTANCE_PROFILE in the template; `spotcluster iam-policy --keep`"
            f" prints what its role needs. `spotcluster keep {cluster.name}` keeps it from here.",
        )
    _write(cluster, wanted.text(rules))
    begin(cluster)


def end(cluster: Cluster) -> None:
    """Have the master keep the cluster no more."""
    _write(cluster, tags.OFF)
    master = cluster.live_master
    if master:
        _supervisor(master).stop(_SERVICE)


def log(cluster: Cluster) -> str:
    """Return what the service on the master has said."""
    path = f"$HOME/{_HOME}/log"
    script = f'for one in "{path}.1" "{path}"; do [ ! -e "$one" ] || cat "$one"; done'
    return cluster.master.run(script, what="reading the keeper's log", timeout=60)


def _write(cluster: Cluster, text: str) -> None:
    record = cluster.record
    network.tag(cluster.session, [record.group_id], {tags.KEEP: text})
    cluster.record = replace(record, tags={**record.tags, tags.KEEP: text})


def _supervisor(master: Node) -> supervisor.Supervisor:
    return supervisor.of_login(master, master.target.user, master.facts.home)


def _bring(cluster: Cluster, home: str) -> str:
    digest, packed = library.archive(_files())
    script = templates.script("keeper_library.sh", home=home, digest=digest)
    what = "bringing the keeper"
    if cluster.master.run(script, what=what, timeout=60).strip() == "missing":
        cluster.master.run(script, what=what, timeout=120, input=packed)
    return digest


def _files() -> Iterator[tuple[str, bytes]]:
    own = resources.files("spotcluster")
    for path in own.iterdir():
        if path.name.endswith(".py") and path.name != "__main__.py":
            yield f"spotcluster/{path.name}", path.read_bytes()
    for room in _ROOMS:
        yield from _room(own.joinpath(room), f"spotcluster/{room}")


def _room(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for path in folder.iterdir():
        if path.is_file() and not path.name.endswith(".pyc"):
            yield f"{name}/{path.name}", path.read_bytes()
        elif path.is_dir() and path.name != "__pycache__":
            yield from _room(path, f"{name}/{path.name}")
