"""Calling what a plugin does at a point of a cluster's life; what goes wrong there names it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from spotcluster import threads
from spotcluster.cluster import limits
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node
from spotcluster.errors import ClusterError, NodeError, RemoteCommandFailed, SpotclusterError

log = logging.getLogger("spotcluster.hooks")


def call(name: str, hook: Callable[..., object], cluster: Cluster, *nodes: Node) -> None:
    """Call a hook of the plugin `name`: with a node, or with the cluster alone.

    Raises
    ------
    RemoteCommandFailed
        A script failed in it; the error says in which plugin.
    NodeError, ClusterError
        It raised what nobody had foreseen, as a plugin of the user's may.
    SpotclusterError
        Anything else that it says itself.
    """
    try:
        hook(cluster, *nodes)
    except RemoteCommandFailed as error:
        what = f"plugin {name}, {error.what}"
        named = RemoteCommandFailed(error.alias, what, error.command, error.status, error.output)
        named.hint = error.hint
        raise named from error
    except NodeError as error:
        why = error.message.removeprefix(f"{error.alias}: ")
        if name not in why:
            error.message = f"{error.alias}: plugin {name}: {why}"
        raise
    except SpotclusterError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit too: it would end a thread of ours without a word
        log.exception("not foreseen in plugin %s", name)
        why = f"plugin {name} raised {type(error).__name__}: {error}"
        raise (NodeError(nodes[0].alias, why) if nodes else ClusterError(why)) from error


def call_within(
    seconds: float, setting: str, name: str, hook: Callable[..., object], cluster: Cluster
) -> None:
    """Call a hook that is for the whole cluster, and leave it behind when its time is over.

    It may hang in code of its own, where none of our limits holds. `setting` is what the limit is
    called in a template.

    Raises
    ------
    SpotclusterError
        As from `call`, or it had not ended.
    """
    failed: list[SpotclusterError] = []

    def within() -> None:
        with limits.limit(seconds, setting):
            try:
                call(name, hook, cluster)
            except SpotclusterError as error:
                failed.append(error)

    if not threads.wait_for(threads.begin(within, name), seconds):
        raise ClusterError(f"plugin {name} had not ended after {seconds:.0f} s ({setting}).")
    if failed:
        raise failed[0]


def call_anyway(
    name: str, hook: Callable[..., object], cluster: Cluster, *nodes: Node, anyway: str
) -> None:
    """Call a hook that must hold nothing up: what goes wrong is noted, and what happens anyway."""
    try:
        call(name, hook, cluster, *nodes)
    except SpotclusterError as error:
        cluster.note(f"{error}; {anyway}")
