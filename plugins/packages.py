"""Packages of the nodes' distribution: by apt or dnf, whichever a node has."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field, field_validator

from spotcluster import templates, wording
from spotcluster.plugins.base import Cluster, CommaList, Node, Plugin

_PACKAGE = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9+._-]*[A-Za-z0-9+])?(?::[a-z0-9]+)?(?:=[A-Za-z0-9+.:~^_-]+)?"
)
_INSTALLING = 900.0


class PackageInstaller(Plugin):
    """Install packages of the nodes' distribution on every node, by apt or dnf.

    A node that has them all, for example by its image, asks no server for anything.

    Parameters
    ----------
    packages : list of str
        Their names there: ``htop, libgomp1``, also with a version: ``htop=3.2.2-2``.
    lock_timeout : float, optional
        Seconds to wait for another program that installs something, as images do when they boot.
    """

    after_master: ClassVar[bool] = False
    lasts: ClassVar[bool] = True

    packages: CommaList
    lock_timeout: float = Field(default=300.0, gt=0, le=3600)

    @field_validator("packages")
    @classmethod
    def _are_names(cls, packages: tuple[str, ...]) -> tuple[str, ...]:
        names: list[str] = []
        for one in packages:
            # To apt 'name-' is one to remove, 'na*' are several, and 'name/x' is of a release.
            if not _PACKAGE.fullmatch(one):
                raise ValueError(f"'{one}' is not a package, as in htop or htop=3.2.2-2")
            name = one.partition("=")[0]
            if name in names:
                raise ValueError(f"'{name}' is named twice")
            names.append(name)
        if not packages:
            raise ValueError("names no package, as in htop, libgomp1")
        return packages

    def setup(self, cluster: Cluster, node: Node) -> None:
        """Install what the node lacks; a package that its distribution does not have stops it."""
        named = wording.some(self.packages)
        if not node.facts.sudo:
            if node.is_master:
                cluster.note(f"without sudo nodes do not get the packages {named}")
            return
        script = templates.script(
            "system_packages.sh",
            manager=node.facts.package_manager,
            packages=self.packages,
            limit=f"{self.lock_timeout:.0f}",
        )
        limit = self.lock_timeout + _INSTALLING
        node.run(script, what=f"installing {named}", timeout=limit, user="root")

    def restart(self, cluster: Cluster, node: Node) -> None:
        """Install what is lacking by now."""
        self.setup(cluster, node)
