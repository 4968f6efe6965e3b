"""What a StarCluster plugin does on many nodes at once: its pool of threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spotcluster import threads
from spotcluster.errors import NodeError

_AT_ONCE = 20  # as many as StarCluster's pools had threads


class ThreadPool:
    """Runs jobs in threads; `wait` raises what went wrong in them.

    Jobs are under the limit of the hook that began them, as what they do on nodes is.
    """

    def __init__(self, size: int = _AT_ONCE, *, disable_threads: bool = False) -> None:
        self._room = threading.BoundedSemaphore(1 if disable_threads else max(1, size))
        self._threads: list[threading.Thread] = []
        self._results: list[Any] = []
        self._errors: list[BaseException] = []

    def simple_job(
        self,
        method: Callable[..., Any],
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
        jobid: str | None = None,
        results_queue: Any = None,
    ) -> None:
        """Begin ``method(*args, **kwargs)``; one argument need be in no sequence."""
        words = args if isinstance(args, (list, tuple)) else (args,)

        def job() -> None:
            with self._room:
                try:
                    result = method(*words, **(kwargs or {}))
                except BaseException as error:  # noqa: BLE001 - `wait` raises it, where it is heard
                    self._errors.append(error)
                    return
            if results_queue is None:
                self._results.append(result)
            else:
                results_queue.put(result)

        self._threads.append(threads.begin(job, jobid))

    def map(self, method: Callable[..., Any], *sequences: Sequence[Any], **_: Any) -> list[Any]:
        """Return what the method returns for the items of the sequences, as they get ready."""
        self._results.clear()
        for words in zip(*sequences, strict=False):
            self.simple_job(method, words)
        return self.wait()

    def wait(self, numtasks: int | None = None, return_results: Any = None) -> list[Any]:  # noqa: ARG002 - as StarCluster's
        """Wait until all jobs that were begun have ended, and return what they returned.

        Raises
        ------
        Exception
            What the first of those that failed has raised; one that names a node comes first.
        """
        threads.wait(self._threads)
        self._threads.clear()
        failed, self._errors = self._errors, []
        results, self._results = self._results, []
        on_nodes = [error for error in failed if isinstance(error, NodeError)]
        if on_nodes:
            first, others = on_nodes[0], {one.alias for one in on_nodes[1:]}
            if also := sorted(others - {first.alias}):
                first.hint = f"{first.hint} It failed on {', '.join(also)} too.".strip()
            raise first
        if failed:
            raise failed[0]
        return results

    def get_results(self) -> list[Any]:
        """Return what jobs that have ended returned."""
        results, self._results = self._results, []
        return results

    def shutdown(self) -> None:
        """Wait for all jobs; the threads are no more then."""
        self.wait()


def get_thread_pool(
    size: int = _AT_ONCE,
    worker_factory: Any = None,  # noqa: ARG001 - as StarCluster's
    disable_threads: bool = False,  # noqa: FBT001, FBT002 - as StarCluster's
) -> ThreadPool:
    """Return a pool of so many threads."""
    return ThreadPool(size, disable_threads=disable_threads)
