"""A node as StarCluster's plugins see it: the names that theirs have, over what ours is."""

from __future__ import annotations

import grp
import pwd
import shlex
from typing import TYPE_CHECKING, Any

from spotcluster.errors import NodeError
from spotcluster.plugins.starcluster.remote import Remote

if TYPE_CHECKING:
    from spotcluster.plugins.base import Cluster
    from spotcluster.plugins.base import Node as OurNode

_APT = "DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Options::=--force-confnew -y"


class Node:
    """A node of a cluster; two of one node are equal.

    What StarCluster's has and this has not raises an AttributeError that says so.
    """

    def __init__(self, cluster: Cluster, node: OurNode) -> None:
        self._cluster = cluster
        self._node = node
        self.ssh = Remote(node)

    def __repr__(self) -> str:
        return f"<Node: {self.alias} ({self.id})>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"node.{name} of StarCluster is not here; docs/howto/from-starcluster.md has what is"
        )

    # --- what it is -------------------------------------------------------------------------------

    @property
    def alias(self) -> str:
        """Its name in the cluster."""
        return self._node.alias

    @property
    def id(self) -> str:
        """Its instance's id."""
        return self._node.instance.id

    @property
    def instance_type(self) -> str:
        """Its instance's type."""
        return self._node.instance.type

    @property
    def placement(self) -> str:
        """The zone that it is in."""
        return self._node.instance.zone

    @property
    def region(self) -> str:
        """The region that it is in."""
        return self._cluster.region

    @property
    def parent_cluster(self) -> str:
        """The name of its cluster."""
        return self._cluster.name

    @property
    def private_ip_address(self) -> str:
        """Its address inside the cluster."""
        return self._node.private_ip

    @property
    def ip_address(self) -> str:
        """Its address outside, or the private one where it has none."""
        return self._node.instance.public_ip or self._node.private_ip

    # An address serves wherever a name does, and EC2's names are made of nothing else.
    dns_name = public_dns_name = addr = ip_address
    private_dns_name = private_dns_name_short = private_ip_address

    @property
    def num_processors(self) -> int:
        """Its cores."""
        return self._node.facts.cores

    @property
    def memory(self) -> int:
        """Its memory in MB."""
        return self._node.facts.memory_mb

    def is_master(self) -> bool:
        """Return whether it is the master."""
        return self._node.is_master

    def is_spot(self) -> bool:
        """Return whether it is a spot instance."""
        return self._node.instance.spot

    def is_up(self) -> bool:
        """Return that it is: hooks are given no others."""
        return True

    # --- packages ---------------------------------------------------------------------------------

    @property
    def package_provider(self) -> str | None:
        """What packages are installed by: ``apt``, ``yum`` or nothing."""
        manager = self._node.facts.package_manager
        return {"apt-get": "apt", "dnf": "yum", "yum": "yum"}.get(manager)

    def apt_command(self, cmd: str) -> None:
        """Run apt-get so that it asks nothing."""
        self.ssh.execute(f"{_APT} {cmd}")

    def apt_install(self, pkgs: str) -> None:
        """Install packages by apt-get; their names have spaces in between."""
        self.apt_command("update")
        self.apt_command(f"install {pkgs}")

    def yum_command(self, cmd: str) -> None:
        """Run yum, or dnf, so that it asks nothing."""
        manager = self._node.facts.package_manager
        self.ssh.execute(f"{manager if manager == 'dnf' else 'yum'} -d 0 -e 0 -y {cmd}")

    def yum_install(self, pkgs: str) -> None:
        """Install packages by yum, or dnf; their names have spaces in between."""
        self.yum_command(f"install {pkgs}")

    def package_install(self, pkgs: str) -> None:
        """Install packages by what the machine has for it."""
        if self.package_provider is None:
            raise NodeError(self.alias, f"it has no apt-get, dnf or yum to install {pkgs} with.")
        if self.package_provider == "apt":
            self.apt_install(pkgs)
        else:
            self.yum_install(pkgs)

    # --- users ------------------------------------------------------------------------------------

    def get_user_map(self, key_by_uid: bool = False) -> dict[Any, pwd.struct_passwd]:  # noqa: FBT001, FBT002
        """Return the users that it has, by name or by number."""
        found = {}
        for line in self.ssh.read("/etc/passwd").splitlines():
            name, password, uid, gid, *rest = line.split(":")
            one = pwd.struct_passwd((name, password, int(uid), int(gid), *rest))
            found[one.pw_uid if key_by_uid else name] = one
        return found

    def get_group_map(self, key_by_gid: bool = False) -> dict[Any, grp.struct_group]:  # noqa: FBT001, FBT002
        """Return the groups that it has, by name or by number."""
        found = {}
        for line in self.ssh.read("/etc/group").splitlines():
            name, password, gid, members = line.split(":")
            listed = [one for one in members.split(",") if one]
            one = grp.struct_group((name, password, int(gid), listed))
            found[one.gr_gid if key_by_gid else name] = one
        return found

    def getpwnam(self, username: str) -> pwd.struct_passwd | None:
        """Return a user by name."""
        return self.get_user_map().get(username)

    def getpwuid(self, uid: int) -> pwd.struct_passwd | None:
        """Return a user by number."""
        return self.get_user_map(key_by_uid=True).get(uid)

    def getgrnam(self, groupname: str) -> grp.struct_group | None:
        """Return a group by name."""
        return self.get_group_map().get(groupname)

    def getgrgid(self, gid: int) -> grp.struct_group | None:
        """Return a group by number."""
        return self.get_group_map(key_by_gid=True).get(gid)

    def add_user(
        self,
        name: str,
        uid: int | None = None,
        gid: int | None = None,
        shell: str = "bash",
    ) -> None:
        """Make a user."""
        words = ["useradd", "-o", "-m", *(["-u", str(uid)] if uid else [])]
        if gid:
            self.ssh.execute(shlex.join(["groupadd", "-o", "-g", str(gid), name]))
            words += ["-g", str(gid)]
        self.ssh.execute(f"{shlex.join(words)} -s $(command -v {shell}) {shlex.quote(name)}")

    def add_user_to_group(self, user: str, group: str) -> None:
        """Make a user one of a group."""
        if user not in self.get_user_map():
            raise NodeError(self.alias, f"it has no user '{user}'.")
        if group not in self.get_group_map():
            raise NodeError(self.alias, f"it has no group '{group}'.")
        self.ssh.execute(shlex.join(["gpasswd", "-a", user, group]))
