"""The jobs of a cluster: programs on its master that outlive this computer's connection."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Callable, Iterator
from os import PathLike, fspath

from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.on_master import bundle
from spotcluster.cluster.on_master import jobs as on_master
from spotcluster.cluster.on_master.jobs import GRACE, Job


class Jobs:
    """The jobs of one cluster, as `Cluster.jobs` gives them.

    Parameters
    ----------
    find : callable
        Gives the cluster as it is now.
    """

    def __init__(self, find: Callable[[], Cluster]) -> None:
        self._find = find

    @contextlib.contextmanager
    def _there(self) -> Iterator[on_master.Jobs]:
        with contextlib.closing(self._find()) as cluster:
            yield on_master.Jobs(cluster)

    def run(self, *words: str | PathLike[str]) -> Job:
        """Copy a script or a folder to the master and start it there; do not wait for it.

        Parameters
        ----------
        *words
            As for the command `run`: ``run("search.py", "--folds", "5")``.
        """
        with self._there() as jobs:
            return jobs.submit(bundle.of([fspath(word) for word in words]))

    def all(self) -> list[Job]:
        """Return the jobs that there ever were, the oldest first."""
        with self._there() as jobs:
            return jobs.all()

    def get(self, number: int | None = None) -> Job:
        """Return a job; the newest one unless a number is given.

        Raises
        ------
        UsageError
            There is none.
        """
        with self._there() as jobs:
            return jobs.get(number)

    def output(self, number: int | None = None, *, lines: int | None = None) -> str:
        """Return what a job has printed so far.

        Parameters
        ----------
        lines : int, optional
            So many of the last lines only.
        """
        told: list[bytes] = []
        with self._there() as jobs:
            jobs.follow(jobs.get(number).id, told.append, lines=lines, on=False)
        return b"".join(told).decode(errors="replace")

    def wait(
        self, number: int | None = None, *, tell: Callable[[str], object] | None = None
    ) -> Job:
        """Wait until a job has ended, and return it.

        Parameters
        ----------
        tell : callable, optional
            Gets what it prints, piece by piece, as it comes.
        """

        text = codecs.getincrementaldecoder("utf-8")(errors="replace")  # pieces cut characters

        def write(piece: bytes) -> None:
            if tell is not None and (said := text.decode(piece)):
                tell(said)

        with self._there() as jobs:
            return jobs.follow(jobs.get(number).id, write, on=True)

    def cancel(self, number: int, *, grace: float = GRACE) -> Job:
        """End a job and all that it has started; it has `grace` seconds to end by itself."""
        with self._there() as jobs:
            return jobs.cancel(number, grace=grace)
