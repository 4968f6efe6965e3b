"""A cluster that programs and notebooks work with, by the words of the commands."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Self

from spotcluster import notify
from spotcluster.api import keeping, reporting, starting
from spotcluster.api.jobs import Jobs
from spotcluster.api.reached import ReachedCluster
from spotcluster.aws.own_images import OwnImage
from spotcluster.cluster import cluster as inner
from spotcluster.cluster import lookup
from spotcluster.cluster.bringup.failures import OnFailure
from spotcluster.cluster.lifecycle import abort, add, autostop, bake, remove, restart, runplugin
from spotcluster.cluster.lifecycle import stop as stopping
from spotcluster.cluster.lifecycle import terminate as ending
from spotcluster.cluster.lifecycle.keeping import on_master as service
from spotcluster.cluster.on_master import notebook as notebooks
from spotcluster.cluster.status.receipts import Receipt
from spotcluster.errors import NoSuchCluster, UsageError

log = logging.getLogger("spotcluster")


class Cluster(ReachedCluster):
    """A cluster that is there, wherever it was started.

    Its methods do what the commands of the same name do, wait until it is done, and raise what is
    in `spotcluster.errors`. They print nothing and ask nothing: `terminate` ends it at once. In a
    notebook they show how far they are, and the cluster as the last thing of a cell shows its
    nodes, its state and its cost. What others do to the cluster meanwhile is seen by the next call.

    As a context manager it closes its connections where the block ends; the one that
    `spotcluster.start` gives terminates the cluster there, by an exception too.

    Parameters
    ----------
    name : str
    region : str, optional
        Its region; by default those that the config speaks of are looked in.
    config : path, optional
        The config file, by default ``~/.spotcluster/config`` if there is one.
    quiet : bool
        Whether to show nothing in a notebook either while something is done.
    ends : bool
        Whether the end of a ``with`` block terminates it.

    Raises
    ------
    NoSuchCluster
        There is none of that name.

    Examples
    --------
    >>> cluster = spotcluster.Cluster("mycluster")  # doctest: +SKIP
    >>> cluster.add(2, bid=0.5)  # doctest: +SKIP
    ['node003', 'node004']
    >>> view = cluster.client.load_balanced_view()  # doctest: +SKIP
    """

    # --- the end ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ends or self._ended:
            self.close()
            return
        with contextlib.suppress(NoSuchCluster):  # somebody else has ended it
            self.terminate()

    # --- its size ---------------------------------------------------------------------------------

    def add(
        self,
        number: int = 1,
        *,
        bid: float | None = None,
        zone: str | None = None,
        type: str | None = None,  # noqa: A002 - as a user calls it
        on_failure: str = "replace",
    ) -> list[str]:
        """Add nodes, as `addnode` does; return the names of those that are ready.

        Parameters
        ----------
        number : int
        bid : float, optional
            Highest price per hour of spot nodes; that of the cluster's start by default.
        zone, type : str, optional
            As the template says by default.
        on_failure : {"replace", "drop", "abort"}
            What is done about a node that does not get ready.

        Raises
        ------
        SpotclusterError
            Some did not get ready; the others are there.
        """
        with self._at_work(f"adding {number} to {self.name}") as found:
            result = add.add_nodes(
                *(found, number),
                bid=bid,
                zone=zone,
                type=type,
                reporter=found.reporter,
                on_failure=OnFailure(on_failure),
            )
            starting.concluded(result, self._scope.hook)
            if problem := result.problem:
                raise problem
        return [node.alias for node in result.nodes]

    def remove(self, *aliases: str) -> list[str]:
        """Remove nodes, as `removenode` does: what they compute is finished first."""
        with self._at_work(f"removing {', '.join(aliases)} from {self.name}") as found:
            return remove.remove_nodes(found, aliases)

    def keep(
        self,
        *,
        least: int | None = None,
        most: int | None = None,
        target: float | None = None,
        idle: float = 5.0,
        pause: float = 180.0,
        step: int | None = None,
        once: bool = False,
        on_master: bool = False,
        tell: Callable[[str], None] = log.info,
    ) -> None:
        """Keep its size, as `keep` does, until the cluster ends or this is interrupted.

        Parameters
        ----------
        least, most : int, optional
            Nodes, the master included; with `most` there are as many as what waits needs.
        target, idle : float, optional
            Minutes in which what waits is to be done, and after which idle nodes leave.
        pause : float
            Seconds between two changes of size.
        step : int, optional
            Nodes added at once at most.
        once : bool
            Whether to do what is to be done now, and return.
        on_master : bool
            Whether the master is to do it, by its INSTANCE_PROFILE; this returns at once then.
        tell : callable
            Gets a line for each thing that is done, with the reason; it is logged by default.
        """
        keeping.check(least, most)
        with contextlib.closing(self._find()) as found:
            rules = keeping.rules_of(found, least, most, target, idle, pause, step)
            if on_master:
                service.set_rules(found, rules)
            else:
                keeping.keep(self._scope, found, rules, tell, once=once)

    def keep_off(self) -> None:
        """Let the master not keep its size any more."""
        with contextlib.closing(self._find()) as found:
            service.end(found)

    def keep_log(self) -> str:
        """Return what the master has done to keep its size, and why."""
        with contextlib.closing(self._find()) as found:
            return service.log(found)

    # --- its life ---------------------------------------------------------------------------------

    def start(self, *, size: int | None = None, bid: float | None = None) -> list[str]:
        """Bring it back when it is stopped, or give it the nodes that it lacks, as `start` does.

        Returns
        -------
        list of str
            The names of the nodes that got ready now.
        """
        with reporting.progress(f"starting {self.name}", quiet=self.quiet) as reporter:
            result = starting.begun(
                *(self._scope, self.name, reporter, None),
                size=size,
                bid=bid,
                on_failure="replace",
                allow=(),
                format_new=False,
                overrides={},
            )
            starting.concluded(result, self._scope.hook)
            if problem := result.problem:
                raise problem
        return [node.alias for node in result.nodes]

    def restart(self) -> list[str]:
        """Reboot all nodes, as `restart` does; return the names of those that came back."""
        self.close()
        with self._at_work(f"restarting {self.name}") as found:
            result = restart.restart(found)
            starting.concluded(result, self._scope.hook)
            if problem := result.problem:
                raise problem
        return [node.alias for node in result.nodes]

    def stop(self) -> list[str]:
        """Stop it, as `stop` does; return the names of the nodes that keep their disks."""
        self.close()
        with self._at_work(f"stopping {self.name}") as found:
            parts = stopping.parts(found)
            if not (parts.done and found.record.stopped):
                parts = stopping.stop(found)
                told = f"'{self.name}' is stopped; only disks cost money."
                notify.tell(self._scope.hook, "stopped", self.name, told)
        return [one.alias for one in parts.kept]

    def autostop(self, time: str | None = None, *, budget: float | None = None) -> int:
        """Say anew when it ends by itself, as `autostop` does; return after how long idle.

        Parameters
        ----------
        time : str, optional
            As ``30m``, ``2h`` or ``off``; without it the idle time is counted from now on.
        budget : float, optional
            The most in USD that it may cost.

        Returns
        -------
        int
            Seconds; 0 for never.
        """
        with self._at_work(f"autostop of {self.name}") as found:
            return autostop.change(found, time, budget)

    def abort(self, search: str | None = None) -> int:
        """Abort a search from any process, as `abort` does; return how many evaluations it has.

        Parameters
        ----------
        search : str, optional
            How its id begins; without it the only one that runs.
        """
        with self._at_work(f"abort of a search on {self.name}") as found:
            return abort.abort(found, abort.choose(found, search))

    def terminate(self, *, timeout: float | None = None) -> Receipt | None:
        """End it, as `terminate` does, and all that was made for it; return what it cost.

        Nobody is asked. Volumes are kept, and so are the files that were fetched.
        """
        self.close()
        config = self._scope.config()
        try:
            with reporting.progress(f"terminating {self.name}", quiet=self.quiet) as reporter:
                done = ending.terminate(
                    *(self._scope.session(), self.name, reporter),
                    timeout=timeout,
                    keys=lookup.keys_of(config),
                    plugins=config.plugins,
                )
        except NoSuchCluster:
            self._ended = True
            raise
        except BaseException as error:
            still_there(error, self.name, self.region)
            raise
        self._ended, self._receipt = True, done.receipt
        hook = config.global_settings.hook
        notify.tell(hook, "stopped", self.name, f"'{self.name}' is terminated.")
        return done.receipt

    # --- on its nodes -----------------------------------------------------------------------------

    def run_plugin(self, plugin: str) -> None:
        """Run a plugin of the config or of its own on every node, as `runplugin` does."""
        with self._at_work(f"{plugin} on {self.name}") as found:
            section, chosen = runplugin.choose(
                self._scope.config(), found, plugin, found.reporter.note
            )
            runplugin.run(found, section, chosen)

    def make_image(self, name: str, *, node: str = "master") -> OwnImage:
        """Make an image of a node, as `ebsimage` does, and return it; the node goes on working."""
        with self._at_work(f"making the image {name}") as found:
            return bake.bake(found, node, name)

    @property
    def jobs(self) -> Jobs:
        """Its jobs: ``run``, ``all``, ``get``, ``output``, ``wait`` and ``cancel``."""
        return Jobs(self._find)

    def notebook(self, *, port: int = 0) -> notebooks.Notebook:
        """Start JupyterLab on the master, as `notebook` does; return its address, and the tunnel.

        The address holds a password. ``tunnel.close()`` ends the way to it, and not the server.
        """
        with self._at_work(f"JupyterLab on {self.name}") as found:
            return notebooks.start(found, port=port)

    def stop_notebook(self) -> bool:
        """End JupyterLab and its kernels; return whether it ran."""
        with self._at_work(f"JupyterLab on {self.name}") as found:
            return notebooks.stop(found)

    @contextlib.contextmanager
    def _at_work(self, what: str) -> Iterator[inner.Cluster]:
        """Give the cluster as it is now, and show in a notebook what is done to it."""
        with (
            reporting.progress(what, quiet=self.quiet) as reporter,
            contextlib.closing(self._find(reporter)) as found,
        ):
            yield found


def still_there(error: BaseException, name: str, region: str | None) -> None:
    """Say with an error what ends the bill, unless nothing was made yet."""
    if isinstance(error, UsageError):
        return
    where = f"-r {region} " if region else ""
    error.add_note(
        f"What there is of '{name}' costs money: `spotcluster {where}terminate {name}` ends it."
    )
