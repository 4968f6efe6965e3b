"""What a cluster's controller knows: its engines, what each does, and what waits.

Its hub is asked, as clients of ipyparallel ask it, through a tunnel. It answers at once also while
every engine computes, and asking costs the engines nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from spotcluster import published
from spotcluster.cluster import connect
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.status.hub import Hub
from spotcluster.errors import ClusterError
from spotcluster.node_layout import engine_place


@dataclass(frozen=True)
class Message:
    """A message that an engine works on.

    Attributes
    ----------
    since : datetime or None
        From when on it can have been there, by the clocks of the client and of the engine.
    label : mapping
        What its sender says of it, empty where that is nothing that we can read; see
        `spotcluster.published`.
    """

    since: datetime | None
    label: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """An engine that is registered.

    Attributes
    ----------
    node : str
        The alias of its node; empty for an engine that is not ours.
    number : int
        Its number on the node.
    waiting : int
        Messages for it, that which it works on included.
    message : Message or None
        What it works on; None when it is idle.
    """

    id: int
    node: str
    number: int
    done: int
    waiting: int
    message: Message | None


@dataclass(frozen=True)
class Answer:
    """What the controller said.

    Attributes
    ----------
    key : bytes
        Of its connections: what names it to searches, see `spotcluster.published`.
    waiting, running, done : int
        Messages: that no engine works on yet, that one works on, and answered by those engines.
    labels : tuple of mapping
        The labels of messages that are not answered yet, the latest first.
    """

    key: bytes
    engines: tuple[Engine, ...]
    waiting: int
    running: int
    done: int
    labels: tuple[Mapping[str, Any], ...]


class Controller:
    """A connection to a cluster's controller; `ask` makes it when it is needed."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._hub: Hub | None = None
        self._tunnel: Any = None
        self._key = b""

    def ask(self, timeout: float) -> Answer:
        """Return what it knows.

        Raises
        ------
        SpotclusterError
            The cluster has no controller, its master cannot be reached, or no answer came within
            `timeout` seconds. The next call connects anew.
        """
        try:
            if self._hub is None or not self._tunnel.alive:
                self.close()
                self._hub = self._connect()
            return self._read(self._hub, timeout)
        except OSError as error:  # TimeoutError is one
            self.close()
            raise ClusterError(
                f"The controller of '{self._cluster.name}' did not answer within {timeout:.0f} s.",
                f"`spotcluster runplugin ipcluster {self._cluster.name}` starts it again.",
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the controller."""
        hub, tunnel = self._hub, self._tunnel
        self._hub = self._tunnel = None
        if hub is not None:
            hub.close()
        if tunnel is not None:
            tunnel.close()

    def _connect(self) -> Hub:
        self._tunnel, info = connect.tunnel(self._cluster)
        self._key = published.key_of(info)
        return Hub(info)

    def _read(self, hub: Hub, timeout: float) -> Answer:
        status = hub.ask("queue_request", timeout, targets=None, verbose=False)
        waiting = int(status.pop("unassigned", 0))
        status.pop("status", None)
        uuids = hub.engines(timeout)
        # It goes on telling of engines that have ended, and of what they left undone.
        queues = {int(number): queue for number, queue in status.items() if int(number) in uuids}
        busy = any(queue["tasks"] or queue["queue"] for queue in queues.values())
        records = _pending(hub, timeout) if busy or waiting else []
        messages = _at_engines(hub, records, timeout) if busy else {}
        engines = []
        for number, queue in sorted(queues.items()):
            uuid = uuids.get(number, "")
            node, place = engine_place(uuid) or ("", 0)
            at_it = int(queue["tasks"]) + int(queue["queue"])
            engines.append(
                Engine(
                    id=number,
                    node=node,
                    number=place,
                    done=int(queue["completed"]),
                    waiting=at_it,
                    message=messages.get(uuid, Message(None)) if at_it else None,
                )
            )
        latest = sorted(records, key=lambda one: one["submitted"], reverse=True)
        labels = [label for one in latest if (label := _label(one))]
        running = sum(one.message is not None for one in engines)
        return Answer(
            self._key,
            tuple(engines),
            waiting + sum(one.waiting for one in engines) - running,
            running,
            sum(one.done for one in engines),
            tuple(labels),
        )


def _pending(hub: Hub, timeout: float) -> list[dict[str, Any]]:
    """Return the messages that are not answered."""
    keys = ["msg_id", "submitted", "engine_uuid", "label"]
    # `None` as a value to compare with would not do: DictDB takes it for that of another key.
    query = {"completed": {"$exists": False}}
    return _records(hub, query, keys, timeout)


def _at_engines(hub: Hub, records: list[dict[str, Any]], timeout: float) -> dict[str, Message]:
    """Return what each engine works on.

    Of several messages it is the one that came first, but one with a label before those
    without: these are questions and errands of the searches, which wait until it is done.
    """
    first: dict[str, dict[str, Any]] = {}
    for one in sorted(records, key=lambda one: (not _label(one), one["submitted"])):
        if one["engine_uuid"]:
            first.setdefault(one["engine_uuid"], one)
    # A message may have waited long before its engine took it, when it had answered another.
    freed: dict[str, datetime] = {}
    if first:
        begin = min(one["submitted"] for one in first.values())
        after = {"$exists": True, "$gte": begin}  # in this order: None cannot be compared
        query = {"completed": after, "engine_uuid": {"$in": list(first)}}
        for one in _records(hub, query, ["engine_uuid", "completed"], timeout):
            uuid, when = one["engine_uuid"], one["completed"]
            freed[uuid] = max(freed.get(uuid, when), when)
    return {
        uuid: Message(max(one["submitted"], freed.get(uuid, one["submitted"])), _label(one))
        for uuid, one in first.items()
    }


def _records(
    hub: Hub, query: dict[str, Any], keys: list[str], timeout: float
) -> list[dict[str, Any]]:
    found = hub.ask("db_request", timeout, query=query, keys=keys)["records"]
    for one in found:
        for key in ("submitted", "completed"):
            if key in one:
                one[key] = _date(one[key])
    return [one for one in found if one.get("submitted", True)]


def _date(text: str | None) -> datetime | None:
    """Return a moment that the hub has written as text."""
    when = datetime.fromisoformat(text) if text else None
    return when.astimezone() if when and when.tzinfo is None else when


def _label(record: Mapping[str, Any]) -> dict[str, Any]:
    return published.label_of(record.get("label"))
