"""A cluster whose nodes are reached: commands and files there, and ports that lead there."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from os import fspath
from typing import Any

from spotcluster.api.seen import AnyPath, SeenCluster
from spotcluster.cluster import aliases
from spotcluster.cluster.reach import execute, forward, spreading, transfers
from spotcluster.cluster.reach.execute import Outcome
from spotcluster.errors import ClusterError
from spotcluster.ssh.transfer import Report

log = logging.getLogger("spotcluster")


class ReachedCluster(SeenCluster):
    """A cluster, without what changes its size or its state; see `Cluster`."""

    def execute(self, script: str, *, node: str | None = None, timeout: float = 600.0) -> str:
        """Run a bash script on a node, as `sshmaster` and `sshnode` do; return what it prints.

        `execute_on` runs a command on many of them.

        Parameters
        ----------
        script : str
        node : str, optional
            The master by default.
        timeout : float
            Seconds that it may take.

        Raises
        ------
        RemoteCommandFailed
            It did not end with status 0; carries what it printed.
        """
        with contextlib.closing(self._find()) as found:
            there = found.node(node) if node else found.master
            return there.run(script, what="the script", timeout=timeout)

    def execute_on(
        self,
        *patterns: str,
        command: str,
        workers: bool = False,
        user: str | None = None,
        timeout: float | None = None,
    ) -> list[Outcome]:
        """Run a command on nodes at once, as `exec` does; return what came of it on each.

        Parameters
        ----------
        *patterns : str
            The nodes, as ``node0*``; all of them without.
        command : str
            A line for the shell there.
        workers : bool
            Whether the master is left out.
        user : str, optional
            Who runs it; the image's own user by default.
        timeout : float, optional
            Seconds that it may take on each node.

        Returns
        -------
        list of Outcome
            With ``alias``, ``status``, ``output``, and ``problem`` where a node was not reached.
        """
        with contextlib.closing(self._find()) as found:
            nodes = execute.choose(found, patterns, workers=workers)
            return execute.run(nodes, command, user=user, timeout=timeout)

    def put(
        self,
        *sources: AnyPath,
        to: str = ".",
        node: str | None = None,
        user: str | None = None,
        follow: bool = False,
    ) -> Report:
        """Copy files and folders to a node, as `put` does; S3 is a source too.

        Parameters
        ----------
        *sources : path
        to : str
            Where to, on the node; relative to the home there.
        node : str, optional
            The master by default.
        user : str, optional
            Whose they are; the image's own user by default.
        follow : bool
            Whether to copy what links lead to.

        Raises
        ------
        ClusterError
            Not all could be copied.
        """
        return self._copied(transfers.put, sources, to, node, user=user, follow=follow)

    def get(
        self,
        *sources: str,
        to: AnyPath = ".",
        node: str | None = None,
        user: str | None = None,
        follow: bool = False,
    ) -> Report:
        """Copy files and folders from a node, as `get` does; the mirror image of `put`."""
        return self._copied(transfers.get, sources, to, node, user=user, follow=follow)

    def put_on_all(
        self, *sources: AnyPath, to: str = ".", user: str | None = None, follow: bool = False
    ) -> Report:
        """Copy files and folders to all nodes, by way of the master, as ``put --all`` does.

        Raises
        ------
        ClusterError
            Not all could be copied, or not to every node.
        """
        with contextlib.closing(self._find()) as found:
            names = [fspath(one) for one in sources]
            report, passed = spreading.put(found, names, to, user=user, follow=follow)
        lacking = [(one.alias, one.problem) for one in passed if one.problem]
        further = [(f"{one.alias}: {what}", why) for one in passed for what, why in one.failed]
        _check([*report.failed, *lacking, *further])
        return report

    def _copied(
        self,
        work: Callable[..., Report],
        sources: tuple[AnyPath, ...],
        to: AnyPath,
        node: str | None,
        **given: Any,
    ) -> Report:
        with contextlib.closing(self._find()) as found:
            there = found.node(node) if node else found.master
            report = work(found, there, [fspath(one) for one in sources], fspath(to), **given)
        _check(report.failed)
        return report

    @contextlib.contextmanager
    def tunnel(self, *ways: str) -> Iterator[None]:
        """Lead ports of this computer to ports of nodes within a block, as `tunnel` does.

        Parameters
        ----------
        *ways : str
            As ``8787:node001:8787``: the port here, the node, and the port there.
        """
        wanted = [forward.Way.parse(one) for one in ways]
        with (
            contextlib.closing(self._find()) as found,
            forward.opened(found, wanted, lambda way, why: log.warning("%s: %s", way, why)),
        ):
            yield

    def ssh_config(self) -> str:
        """Return what the user's own ssh needs to reach its nodes, as ``ssh-config --print``."""
        with contextlib.closing(self._find()) as found:
            return aliases.text(self.name, found.nodes, found.pin_host_keys())


def _check(failed: Sequence[tuple[str, str]]) -> None:
    """Raise what could not be copied."""
    if failed:
        what, why = failed[0]
        raise ClusterError(
            f"{len(failed)} of what was to be copied could not be, the first of it {what}: {why}",
            "Repeat it: what is there already is not copied again.",
        )
