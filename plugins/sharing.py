"""What several nodes mount: by a script and a unit of its own on each of them.

In a home that is shared some things stay each node's own: what is ours there, and caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spotcluster import templates
from spotcluster.errors import ClusterError, RemoteCommandFailed
from spotcluster.node_layout import ROOT
from spotcluster.plugins.base import Node
from spotcluster.steps import Step

OWN_NAMES = (ROOT.removeprefix("~/"), ".cache")
"""What of a shared home stays each node's own."""

HOME_SERVICE = "nfs"
"""The service that has the home among what it mounts."""

_HOME_SCRIPT = f"/etc/spotcluster/{HOME_SERVICE}.sh"
_LACKING = 47  # a status of ours, for a kernel without NFS
_TOOLS = "preparing for NFS"
_PATIENCE = 300.0  # seconds for a package, or for a mount
_SILENCE = 30  # seconds without an answer, after which what a machine shares is let go of


@dataclass(frozen=True)
class Mount:
    """A file system to mount.

    Attributes
    ----------
    path : str
        The folder that it is mounted on.
    source : str
        What is mounted, as ``master:/home/me``.
    options : str
        Of `mount`.
    server : str
        The name of the machine that it has to come from, where that may have another address later.
    kind : str
        Its type; ``efs`` is encrypted on its way where the node has what that takes.
    """

    path: str
    source: str
    options: str
    server: str = ""
    kind: str = "nfs4"


@dataclass(frozen=True)
class Home:
    """The home of an account, which is among what is mounted, and the number it has to have."""

    account: str
    path: str
    uid: int


def run(node: Node, side: str, steps: Sequence[Step]) -> list[str]:
    """Run steps on a node that is to be the ``client`` or the ``server`` of NFS, as root.

    Raises
    ------
    ClusterError
        Its kernel has no NFS; nothing has been done then, and another machine would not help.
    """
    script = templates.script(
        "nfs_tools.sh", side=side, manager=node.facts.package_manager, lacking=_LACKING
    )
    tools = Step(script, _TOOLS, _PATIENCE, user="root")
    try:
        return node.run_each([tools, *steps])[1:]
    except RemoteCommandFailed as error:
        if (error.what, error.status) != (_TOOLS, _LACKING):
            raise
        kernel = error.output.strip() or "there"
        raise ClusterError(
            f"{node.alias}: its kernel ({kernel}) has no NFS {side}, so no files can be shared.",
            "Choose an image whose kernel has it, as those of Ubuntu, Debian and Amazon Linux do,"
            " or leave that out.",
        ) from error


def mounting(
    service: str, mounts: Sequence[Mount], home: Home | None = None, owner: str = ""
) -> Step:
    """Return the step that mounts file systems now, and whenever the machine boots.

    What is mounted already and answers is left as it is.

    Parameters
    ----------
    service : str
        What the unit is called, after ``spotcluster-``.
    home : Home, optional
        Whose home is one of them.
    owner : str, optional
        Whose they become where they are root's and nothing has been put on them yet.
    """
    ordered = sorted(mounts, key=lambda one: one.path.count("/"))  # /data before /data/more
    script = templates.script(
        "shared.sh",
        service=service,
        account=home.account if home else "",
        home=home.path if home else "",
        uid=str(home.uid) if home else "",
        own_names=OWN_NAMES,
        owner=owner,
        patience=_SILENCE,
        paths=[one.path for one in ordered],
        kinds=[one.kind for one in ordered],
        sources=[one.source for one in ordered],
        options=[one.options for one in ordered],
        servers=[one.server for one in ordered],
    )
    unit = templates.script("shared_unit.sh", service=service, script=script)
    return Step(unit, "mounting what is shared", _PATIENCE, user="root")


def releasing(service: str, *, ends: bool) -> Step:
    """Return the step that unmounts them; `ends` where they are not to come back at a boot."""
    script = templates.script("shared_release.sh", service=service, ends=ends)
    return Step(script, "unmounting what is shared", 90, user="root")


def checking() -> Step:
    """Return the step that lets go of a shared home which nobody serves any more.

    Whoever is in it waits at each step; a node is to be set up by then, and gets another one.
    """
    return Step(
        f"sudo -n bash {_HOME_SCRIPT} check",
        "looking after the shared home",
        timeout=120,
        when=f"[ -e {_HOME_SCRIPT} ]",
    )
