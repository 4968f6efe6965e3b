"""A kit to test plugins with pytest: a cluster on this computer; no account, no root.

pytest finds it by itself where spotcluster is installed. This module is imported in every run of
pytest there, so it imports nothing of ours until a test asks for it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from spotcluster.cluster.cluster import Cluster
    from spotcluster.cluster.node import Node
    from spotcluster.plugins.base import Plugin

__all__ = ["LocalCluster", "local_cluster", "plugin"]

_CONFIG = """
[key testing]

[cluster testing]
KEYNAME = testing
REGION = local
CLUSTER_SIZE = 2
NODE_INSTANCE_TYPE = c5.large
AUTOSTOP = off
"""
_NAME = "testing"


def plugin(setup_class: str, folder: str | Path | None = None, **settings: object) -> Plugin:
    """Return the plugin that a ``[plugin]`` section with these settings describes.

    Parameters
    ----------
    setup_class : str
        ``module.Class``, one of ours or of StarCluster's kind, or the name of an entry point.
    folder : str or Path, optional
        Where the module is, in the place of ``~/.spotcluster/plugins``.
    **settings
        As they stand in the config, where all are text.

    Raises
    ------
    PluginError
        The class cannot be loaded, or does not take these settings.
    """
    from spotcluster.plugins import loader

    given = {name: str(value) for name, value in settings.items()}
    name = setup_class.rpartition(".")[2].lower()
    return loader.make(name, setup_class, given, folder=Path(folder) if folder else None)


class LocalCluster:
    """A master and a worker on the local cloud, which plugins are tried on.

    Attributes
    ----------
    cluster : Cluster
        What hooks get as their first argument.
    notes : list of str
        What plugins have told the user, oldest first.
    """

    def __init__(self, cluster: Cluster, notes: list[str]) -> None:
        self.cluster = cluster
        self.notes = notes

    @property
    def master(self) -> Node:
        """Its master."""
        return self.cluster.master

    @property
    def nodes(self) -> list[Node]:
        """Its nodes, the master first; `run`, `put` and `get` of each reach its machine."""
        return self.cluster.nodes

    def setup(self, plugin: Plugin) -> None:
        """Set all nodes up, as `runplugin` does; raise what fails."""
        from spotcluster.cluster import hooks

        if plugin.assembles:
            self._whole(plugin, lambda cluster: plugin.assemble(cluster, cluster.nodes))
            return
        for node in self.nodes:
            hooks.call(_called(plugin), plugin.setup, self.cluster, node)

    def remove(self, plugin: Plugin, alias: str) -> None:
        """Prepare a node to leave, which stays."""
        from spotcluster.cluster import hooks

        hooks.call(_called(plugin), plugin.remove, self.cluster, self.cluster.node(alias))

    def restart(self, plugin: Plugin) -> None:
        """Bring all nodes back, as after a reboot; nothing reboots."""
        from spotcluster.cluster import hooks

        if not plugin.assembles:
            for node in self.nodes:
                hooks.call(_called(plugin), plugin.restart, self.cluster, node)
            return
        self._whole(plugin, plugin.reboot)
        self.setup(plugin)

    def shutdown(self, plugin: Plugin) -> None:
        """Prepare the cluster to stop, which goes on."""
        self._whole(plugin, plugin.shutdown)

    def _whole(self, plugin: Plugin, hook: Any) -> None:
        from spotcluster.cluster import hooks

        limit = self.cluster.record.template.setup_timeout
        hooks.call_within(limit, "SETUP_TIMEOUT", _called(plugin), hook, self.cluster)


def _called(plugin: Plugin) -> str:
    return type(plugin).__name__


@pytest.fixture
def local_cluster(_local_cluster_of_the_run: LocalCluster) -> LocalCluster:
    """A cluster of two nodes on the local cloud, the same for all tests; `notes` are the test's.

    It has a home of its own (``SPOTCLUSTER_HOME``), and ends with the run. Its nodes are as the
    local cloud's always are: without sudo, each with a folder of its own as its home.
    """
    _local_cluster_of_the_run.notes.clear()
    return _local_cluster_of_the_run


@pytest.fixture(scope="session")
def _local_cluster_of_the_run() -> Iterator[LocalCluster]:
    from spotcluster import local

    # Short: the names of sockets have a limit.
    home = Path(tempfile.mkdtemp(prefix="sc-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOTCLUSTER_HOME", str(home))
        try:
            local.start()
            yield _start()
        finally:
            patch.setenv("SPOTCLUSTER_HOME", str(home))  # a test may have set another
            local.stop()
            shutil.rmtree(home, ignore_errors=True)


def _start() -> LocalCluster:
    from spotcluster import config, files, ssh
    from spotcluster.aws import keypairs
    from spotcluster.cluster import lookup
    from spotcluster.cluster.lifecycle import start
    from spotcluster.cluster.reporter import Quiet

    class Noting(Quiet):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, message: str) -> None:
            super().note(message)
            self.notes.append(message)

    settings = config.load_text(_CONFIG, "spotcluster.testing")
    template = settings.with_key(settings.template(_NAME))
    session = lookup.open_session(settings, "local")
    pair = ssh.keys.generate()
    files.write_private(files.key_file(template.keyname), pair.private)
    keypairs.upload(session, template.keyname, pair.public)
    reporter = Noting()
    result = start.start(session, _NAME, template, reporter)
    failures = [failure for member in result.failed for failure in member.failures]
    if failures:
        raise failures[0].error
    return LocalCluster(result.cluster, reporter.notes)
