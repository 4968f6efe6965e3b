"""Tags of nodes that are brought up together, in as few calls as EC2 takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from spotcluster import threads
from spotcluster.aws import blocks, network, tags
from spotcluster.aws.session import Session
from spotcluster.cluster.node import Node

_LEAST = 0.003  # seconds for each node of a crowd that its first waits for the others


@dataclass(frozen=True)
class _Wish:
    id: str
    tags: Mapping[str, str]


class Tagger:
    """Writes tags of nodes; each waits until its own are written.

    Parameters
    ----------
    coming : set of str
        The workers that are brought up, of which those go that are. A few have their tags written
        at once, each by a call of its own. Many wait a moment for one another: what all have alike
        goes in one call, and what differs in rolls, see `blocks.pack`. The master waits for none of
        them, as they wait for it.
    """

    def __init__(self, session: Session, coming: AbstractSet[str] = frozenset()) -> None:
        self._session = session
        self._rounds = threads.Rounds(lambda: coming, least=_LEAST * len(coming))
        self._is_crowd = len(coming) > blocks.FEW

    def put(self, node: Node, own: Mapping[str, str]) -> None:
        """Write tags of a node; one value in them may differ from those of others."""
        wish = _Wish(node.instance.id, own)
        if self._is_crowd and not node.instance.is_master:
            # What a node has in its life once: who has had it is not waited for.
            self._rounds.join(tuple(sorted(own)), node.alias, wish, self._write)
        else:
            network.tag(self._session, [wish.id], wish.tags)
        node.instance = replace(node.instance, tags={**node.instance.tags, **own})

    def _write(self, wishes: Sequence[_Wish]) -> None:
        alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
        keys: dict[str, str] = {}
        for one in wishes:
            own = dict(one.tags)
            if tags.HOST_KEY in own:  # told by the next one, as these are equal by now
                own[tags.HOST_KEY] = blocks.SAME
            if key := own.pop(tags.NEXT_HOST_KEY, ""):
                keys[one.id] = key
            if own:
                alike.setdefault(tuple(sorted(own.items())), []).append(one.id)
        for roll, ids in blocks.rolls(tags.NEXT_HOST_KEY, keys):
            network.tag(self._session, ids, roll)
        for given, ids in alike.items():
            network.tag(self._session, ids, dict(given))
