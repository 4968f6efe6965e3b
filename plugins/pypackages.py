"""Python packages on every node."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import BeforeValidator, field_validator

from spotcluster.plugins import environment
from spotcluster.plugins.base import Cluster, CommaList, Node, Plugin, as_list


def _requirements(value: Any) -> Any:
    """Split at the commas between requirements, and not at those within one."""
    if not isinstance(value, str):
        return value
    found: list[str] = []
    for item in as_list(value):
        goes_on = found and (item[0] in "<>=!~" or not _is_whole(found[-1]))
        if goes_on:
            found[-1] += f", {item}"
        else:
            found.append(item)
    return found


def _is_whole(text: str) -> bool:
    """Return whether all brackets and quotes that a text opens are closed."""
    pairs = all(text.count(begin) <= text.count(end) for begin, end in ("[]", "()"))
    return pairs and not (text.count("'") % 2 or text.count('"') % 2)


class PyPkgInstaller(Plugin):
    """Install Python packages into one environment per node, ``~/.spotcluster/env``.

    Parameters
    ----------
    packages : list of str
        Requirements as pip takes them: ``scikit-learn, psutil, pandas[excel]>=2,<4``. Those without
        a version get the version that this computer has, if it has one.
    python : str, optional
        The Python minor version, ``3.12``; this computer's by default, so that pickles load.
    index_url : str, optional
        A package index to use instead of the public one: ``https://...`` or, for a mirror on a
        network that you trust, ``http://...``.
    """

    after_master: ClassVar[bool] = False
    lasts: ClassVar[bool] = True

    packages: Annotated[CommaList, BeforeValidator(_requirements)] = ()
    python: str | None = None
    index_url: str | None = None

    @field_validator("packages")
    @classmethod
    def _are_requirements(cls, packages: tuple[str, ...]) -> tuple[str, ...]:
        for package in packages:
            try:
                Requirement(package)
            except InvalidRequirement as error:
                raise ValueError(f"'{package}' is not a requirement that pip takes") from error
        return packages

    @field_validator("index_url")
    @classmethod
    def _is_url(cls, index_url: str | None) -> str | None:
        return environment.check_index_url(index_url) if index_url else None

    def setup(self, cluster: Cluster, node: Node) -> None:  # noqa: ARG002 - the hook's signature
        """Install the packages; a failure stops this node, with the installer's output."""
        environment.install(node, self.packages, python=self.python, index_url=self.index_url)

    def restart(self, cluster: Cluster, node: Node) -> None:
        """Install again, as nodes made now do: all nodes have the same versions."""
        self.setup(cluster, node)
