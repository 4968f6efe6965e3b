"""A command on many nodes at once, and what came of it on each."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from spotcluster import ssh, templates, threads, wording
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node
from spotcluster.errors import RemoteCommandFailed, SpotclusterError, UsageError

AT_ONCE = 64
"""Nodes on which it runs at the same time; the next one begins when one has ended."""
STOPPED, UNREACHED = 124, 255
"""Statuses for a command that its time limit ended, as `timeout` has it, and for a node that was
not reached, or lost, as ssh has it."""

_FOR_EVER = 7 * 86400.0


@dataclass(frozen=True)
class Outcome:
    """What a command came to on a node.

    Attributes
    ----------
    status : int
        Its exit status; `STOPPED` or `UNREACHED` where it has none.
    stdout, stderr, output : str
        What it printed: each stream, and both in the order in which they came.
    problem : str
        Why it has no status of its own; "" where it has.
    seconds : float
        How long it took, the connection included.
    """

    alias: str
    status: int
    stdout: str = ""
    stderr: str = ""
    output: str = ""
    problem: str = ""
    seconds: float = 0.0


def choose(cluster: Cluster, patterns: Sequence[str] = (), *, workers: bool = False) -> list[Node]:
    """Return the nodes that patterns name: all of them unless there are any.

    Parameters
    ----------
    patterns : sequence of str
        ``node0*``, ``node001,node002``, or as we fold names, ``node[001-003,007]``.
    workers : bool
        Whether the master is left out.

    Raises
    ------
    UsageError
        A pattern names none, or there is none to name.
    """
    nodes = [node for node in cluster.nodes if not (workers and node.is_master)]
    if not nodes:
        cluster.master  # noqa: B018 - that it is stopped, or has no master, is said first
        raise UsageError(
            f"The cluster '{cluster.name}' has no workers.",
            f"`spotcluster addnode {cluster.name}` adds one.",
        )
    if not patterns:
        return nodes
    aliases = {node.alias for node in nodes}
    named: set[str] = set()
    for pattern in patterns:
        # What names nothing, as a variable that is empty does, must not mean all of them.
        for one in wording.unfolded(pattern) or [pattern]:
            found = {one} & aliases or {alias for alias in aliases if fnmatchcase(alias, one)}
            if not found:
                raise UsageError(
                    f"No node of '{cluster.name}' is named '{one}'.",
                    f"There are {wording.folded(node.alias for node in nodes)}.",
                )
            named |= found
    return [node for node in nodes if node.alias in named]


def run(
    nodes: Sequence[Node],
    command: str,
    *,
    user: str | None = None,
    timeout: float | None = None,
    input: bytes = b"",  # noqa: A002 - the name that subprocess.run has for it
    done: Callable[[Outcome], object] = lambda _: None,
) -> list[Outcome]:
    """Run a command on nodes, side by side, and return what came of it in their order.

    An interrupt closes the connections, and with them end the commands.

    Parameters
    ----------
    command : str
        A line for the shell of the login there.
    user : str, optional
        Who runs it; the login unless given.
    timeout : float, optional
        Seconds that it may take on each node.
    input : bytes
        Its standard input.
    done : callable
        Is told each outcome as it comes.
    """
    errand = _Errand(
        templates.script("exec.sh", command=command, size=len(input)), user, timeout, input
    )
    todo: queue.SimpleQueue[Node] = queue.SimpleQueue()
    for node in nodes:
        todo.put(node)
    came: dict[str, Outcome] = {}

    def work(_: int) -> None:
        with contextlib.suppress(queue.Empty):
            while not errand.over:
                outcome = errand.on(todo.get_nowait())
                came[outcome.alias] = outcome
                done(outcome)

    try:
        threads.on_each(range(min(AT_ONCE, len(nodes))), work, lambda one: f"exec-{one}")
    except KeyboardInterrupt:
        errand.end()
        raise
    return [came[node.alias] for node in nodes]


class _Errand:
    """What is to be run, and the connections over which it runs now."""

    def __init__(
        self,
        script: str,
        user: str | None,
        timeout: float | None,
        input: bytes,  # noqa: A002 - as `run` has it
    ) -> None:
        self.over = False
        self._script = script
        self._user = user
        self._limit = timeout or _FOR_EVER
        self._input = input
        self._open: set[ssh.Connection] = set()
        self._lock = threading.Lock()

    def on(self, node: Node) -> Outcome:
        """Run it on a node, and return what came of it, whatever that is."""
        begin = time.monotonic()
        try:
            got = self._run(node)
            killed = got.status < 0
            outcome = Outcome(
                node.alias,
                UNREACHED if killed else got.status,
                got.stdout,
                got.stderr,
                got.output,
                "the command was killed" if killed else "",
            )
        except RemoteCommandFailed as error:
            why = f"it was stopped at its limit of {self._limit:g} s"
            outcome = Outcome(node.alias, STOPPED, output=error.output, problem=why)
        except SpotclusterError as error:
            why = error.message.removeprefix(f"{node.alias}: ")
            outcome = Outcome(node.alias, UNREACHED, problem=why)
        return replace(outcome, seconds=round(time.monotonic() - begin, 3))

    def end(self) -> None:
        """Close the connections that there are; commands end with theirs."""
        with self._lock:
            self.over = True
            for connection in self._open:
                connection.close()

    def _run(self, node: Node) -> ssh.Result:
        with node.connected(self._user) as (connection, sudo):
            with self._lock:
                if self.over:
                    connection.close()
                self._open.add(connection)
            return connection.run(
                self._script,
                timeout=self._limit,
                what="the command",
                user=sudo,
                input=self._input,
                check=False,
                tied=True,
            )


def together(outcomes: Sequence[Outcome]) -> list[tuple[list[str], Outcome]]:
    """Return which nodes had the same come of it, and one of those outcomes, in order of nodes."""
    groups: dict[tuple[int, str, str], tuple[list[str], Outcome]] = {}
    for one in outcomes:
        key = (one.status, one.output, one.problem)
        groups.setdefault(key, ([], one))[0].append(one.alias)
    return list(groups.values())
