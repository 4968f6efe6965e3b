"""Tags of nodes that are brought up together, in as few calls as EC2 takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from spotcluster import threads
from spotcluster.aws import blocks, network, tags
from spotcluster.aws.session import Session
from spotcluster.cluster.node import Node

_PAUSE = 0.003  # seconds for each node of a crowd


@dataclass(frozen=True)
class _Wish:
    id: str
    tags: Mapping[str, str]


class Tagger:
    """Writes tags of nodes; each waits until its own are written.

    Parameters
    ----------
    crowd : int
        How many workers are brought up. A few have their tags written at once, each by a call of
        its own. Many wait a moment for one another: what all have alike goes in one call, and what
        differs in rolls, see `blocks.pack`. The master waits for none of them, as they wait for it.
    """

    def __init__(self, session: Session, crowd: int) -> None:
        self._session = session
        self._gathered = threads.Gathered[_Wish, None](
            self._write, expected=crowd, pause=crowd * _PAUSE
        )
        self._is_crowd = crowd > blocks.FEW

    def put(self, node: Node, own: Mapping[str, str]) -> None:
        """Write tags of a node; one value in them may differ from those of others."""
        wish = _Wish(node.instance.id, own)
        if self._is_crowd and not node.instance.is_master:
            self._gathered.ask(wish)
        else:
            network.tag(self._session, [wish.id], wish.tags)
        node.instance = replace(node.instance, tags={**node.instance.tags, **own})

    def _write(self, wishes: Sequence[_Wish]) -> list[Exception | None]:
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
        return [None] * len(wishes)
