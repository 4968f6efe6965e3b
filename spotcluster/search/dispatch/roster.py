"""Which engines there are, on which hosts, and which of them may be given evaluations."""

from __future__ import annotations

import contextlib
import math
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from spotcluster import notify
from spotcluster.search.backends.protocol import Backend, Gone, Pending
from spotcluster.search.data.evaluations import Presence
from spotcluster.search.data.splits import Bundle
from spotcluster.search.dispatch.delivery import Delivery
from spotcluster.search.dispatch.hosts import RETRY, Engine, Host, Taken
from spotcluster.search.dispatch.pace import GOLDEN
from spotcluster.search.dispatch.spread import Spread
from spotcluster.search.engine import here, peer

AT_ONCE = 32  # engines that are asked, of hundreds that join, before others are given work
NEW = 2.0  # seconds in which engines that have come say who they are, unless they are busy
APART = 180.0  # seconds between two notices of hosts of one name, at least
SELDOM = 120.0  # seconds that it is at most between two trials of a host that is left out
FAREWELL = 1.0  # seconds that the end of a search waits for engines to hear of it
STALLED = 120.0  # seconds without an answer after which another engine of the host delivers


class Roster:
    """Follows the engines as they come and go, and brings the split files to their hosts.

    Nothing here waits: `refresh` is called again and again and looks at what has arrived. `wake` is
    called, by other threads, when something has. Engines that have come begin at once to import the
    modules that are `needed`.

    Attributes
    ----------
    gone : set of int
        The engines that the last `refresh` has found gone.
    """

    def __init__(
        self,
        backend: Backend,
        bundle: Bundle,
        needed: Sequence[str] = (),
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._backend = backend
        self._bundle = bundle
        self._needed = needed
        self._wake = wake
        self._spread = Spread()
        self._search = uuid.uuid4().hex
        self._names: dict[str, str] = {}  # of engines by uuid, those that have gone too
        self._drained: set[str] = set()  # uuids, those that have gone too
        self._seen: list[int] = []  # the ids at the last look
        self._asked: dict[int, Engine] = {}  # those that are to be asked who they are, and how
        self._room = AT_ONCE  # how many more may be asked now
        self._fit: list[int] | None = None  # what `ready` gave, until something changes it, or
        self._fit_until = 0.0  # a host that is left out is tried again
        self.engines: dict[int, Engine] = {}
        self.gone: set[int] = set()
        self.hosts: dict[str, Host] = {}
        self._presence: dict[str, Presence] = {}  # by uuid
        self._taken: dict[str, list[Taken]] = {}  # by host, which may have a successor

    def refresh(self) -> list[str]:
        """Look at what has changed; return the hosts that have become ready."""
        ids = self._backend.engines()
        self.gone = set()
        if ids != self._seen:
            self._seen = ids
            self._compare(set(ids))
        for node, server in self._spread.peers().items():
            if server not in self.engines:
                self._spread.left(node)
        self._room = AT_ONCE
        for engine in list(self._asked.values()):
            if not self._ask(engine):
                self._wake()  # the others are next, when what works was given more
                break
        unserved = [host for host in self.hosts.values() if not host.ready or host.delivery]
        return [host.name for host in unserved if self._deliver(host)]

    def _compare(self, present: set[int]) -> None:
        """Take note of who has come and who has gone."""
        self._fit = None
        self.gone = self.engines.keys() - present
        for gone in self.gone:
            engine = self.engines.pop(gone)
            self._asked.pop(gone, None)
            if engine.uuid in self._presence:
                seen = self._presence[engine.uuid]
                self._presence[engine.uuid] = replace(seen, left=time.time())
        joined = {new: Engine(new) for new in sorted(present - self.engines.keys())}
        self.engines.update(joined)
        # Those of a host often come one after the other, and each host is to have some work soon.
        self._asked.update({new: joined[new] for new in _far_apart(list(joined))})

    def ready(self) -> list[int]:
        """Return the engines that may be given evaluations now."""
        now = time.monotonic()
        if self._fit is not None and now < self._fit_until:
            return self._fit
        hosts = {
            host.name
            for host in self.hosts.values()
            if host.ready and (not host.unable or now >= host.trial)
        }
        self._fit = [
            engine.id
            for engine in self.engines.values()
            if engine.node in hosts and not engine.draining
        ]
        trials = (host.trial for host in self.hosts.values() if host.unable and host.trial > now)
        self._fit_until = min(trials, default=math.inf)
        return self._fit

    def asked(self) -> int:
        """Return how many engines have come just now, and should be ready in a moment."""
        now = time.time()
        return sum(not one.node and now - one.joined < NEW for one in self._asked.values())

    def elsewhere(self, nodes: Collection[str]) -> bool:
        """Return whether there are engines on other hosts than these that work, or soon may."""
        return any(
            not engine.node or (engine.node not in nodes and not self.hosts[engine.node].unable)
            for engine in self.engines.values()
            if not engine.draining
        )

    def leave_out(self, node: str, why: str) -> None:
        """Give a host nothing more, but for a trial now and then: something may change there."""
        host, now = self.hosts.setdefault(node, Host(node)), time.monotonic()
        if now >= host.trial:  # and not for each of its engines
            host.trial, host.pause = now + host.pause, min(2 * host.pause, SELDOM)
        host.unable = why
        self._fit = None

    def proved(self, node: str) -> None:
        """Take note that a host can do evaluations."""
        if node in self.hosts and self.hosts[node].unable:
            self.hosts[node].unable, self.hosts[node].pause = "", RETRY
            self._fit = None

    def hopeless(self) -> dict[str, str]:
        """Return why none of the hosts can do evaluations, by host; empty if one can, or may."""
        why: dict[str, str] = {}
        for engine in self.engines.values():
            if engine.node in why:
                continue
            host = self.hosts.get(engine.node)
            if host is None or not (host.unable or host.problem):
                return {}
            why[host.name] = host.unable or host.problem
        return dict(sorted(why.items()))

    def name(self, uuid: str | None) -> str:
        """Return what to call an engine, which may have gone: ``"engine 3 on node001"``."""
        return self._names.get(uuid or "", "its engine")

    def node(self, uuid: str | None) -> str:
        """Return the host of an engine, which may have gone; empty if it is not known."""
        return self._presence[uuid].node if uuid in self._presence else ""

    def drained(self, uuid: str | None) -> bool:
        """Return whether an engine, which may have gone, is known to have taken nothing new."""
        return uuid in self._drained

    def is_taken(self, who: dict[str, Any]) -> None:
        """Take note of what an engine says of when its host is taken back, if it is."""
        if (at := who.get("taken")) is None:
            return
        before = self._taken.setdefault(who["node"], [])
        if not before or abs(at - before[-1].at) > APART:
            before.append(Taken(who["node"], at, {who["uuid"]}))
            notify.node_lost(self._backend.client, who["node"])
        before[-1].engines.add(who["uuid"])

    def lost(self, uuid: str | None) -> None:
        """Take note that an evaluation was lost with its engine."""
        for one in self._taken.get(self.node(uuid), [])[-1:]:
            one.lost += 1

    def works(self, who: dict[str, Any]) -> None:
        """Take note that an engine has started an evaluation: its host has the files."""
        if who["engine"] in self.engines and not self.engines[who["engine"]].node:
            self._meet(who).ready = True

    def refused(self, who: dict[str, Any], reason: str, why: str = "") -> None:
        """Take note that an engine has refused an evaluation."""
        self.is_taken(who)
        if reason == "draining":
            self._drained.add(who["uuid"])
        known = self.engines.get(who["engine"])
        if known is None:
            return
        host = self._meet(who)
        if reason == "draining":
            known.draining, known.look_again = True, time.monotonic() + RETRY
            self._asked[known.id] = known
        elif reason == "unable":
            self.leave_out(host.name, why)
        elif host.delivery is None:
            host.ready, host.lacking = False, known.id

    def doubt(self) -> None:
        """Ask all engines anew, before they are given anything: one has refused something."""
        for engine in self.engines.values():
            engine.node = ""
        self._asked = dict(self.engines)
        self._fit = None

    def presence(self) -> list[Presence]:
        """Return when engines were there, those that have gone too."""
        taken = [one for each in self._taken.values() for one in each]
        at = {uuid: one.at for one in taken for uuid in one.engines}
        return [replace(one, taken=at.get(uuid)) for uuid, one in self._presence.items()]

    def remarks(self) -> list[str]:
        """Return what the user should know of the hosts, one line each."""
        odd = [one for one in self.hosts.values() if one.problem or one.remark or one.unable]
        if not odd and not self._taken:
            return []
        failed = [
            f"The split files did not reach {host.name}: {host.problem}."
            for host in odd
            if host.problem
        ]
        failed += sorted({host.remark for host in odd if host.remark})
        present = {engine.node for engine in self.engines.values()}
        there = {engine.uuid for engine in self.engines.values()}
        taken = [one for each in self._taken.values() for one in each]
        failed += [
            f"{host.name} is left out: {host.unable}."
            for host in odd
            if host.unable and host.name in present
        ]
        return failed + [one.describe(over=not one.engines & there) for one in taken]

    def close(self) -> None:
        """Stop what is under way."""
        # A host that stops to get files is none that serves them any more.
        servers = list(self._spread.peers().values())
        under_way = [host.delivery for host in self.hosts.values() if host.delivery is not None]
        for delivery in under_way:
            delivery.give_up()
        told = []
        for engine in servers:
            with contextlib.suppress(Gone, OSError):
                told.append(self._backend.call(engine, peer.withdraw, self._search))
        # ipyparallel sends on a thread that ends with the client, whether it has sent all or not,
        # and who waits for the search may close the client next. An engine that is busy has the
        # message by the end of this time, and acts on it later.
        end = time.monotonic() + FAREWELL
        for one in told:
            with contextlib.suppress(TimeoutError):
                one.exception(max(0.0, end - time.monotonic()))
        for delivery in under_way:
            delivery.join(max(0.0, end - time.monotonic()))

    def _meet(self, who: dict[str, Any]) -> Host:
        self._fit = None  # whatever has been said of it
        engine = self.engines[who["engine"]]
        engine.node, engine.uuid, engine.probe = who["node"], who["uuid"], None
        presence = Presence(engine.node, engine.id, engine.uuid, engine.joined)
        self._presence.setdefault(engine.uuid, presence)
        self._names[who["uuid"]] = f"engine {engine.id} on {engine.node}"
        return self.hosts.setdefault(engine.node, Host(engine.node))

    def _ask(self, engine: Engine) -> bool:
        """Ask an engine who it is, or see what it says; return False where there is no room to."""
        if engine.probe is None and engine.node and not engine.draining:
            del self._asked[engine.id]
            return True
        if engine.probe is None and time.monotonic() < engine.look_again:
            return True
        if engine.probe is None:
            if self._room <= 0:
                return False
            try:
                engine.probe = self._backend.call(
                    engine.id, here.probe, self._bundle.digest, self._needed
                )
            except Gone:
                return True  # the next look at who is there tells
            self._room, engine.asked = self._room - 1, time.monotonic()
            engine.probe.add_done_callback(lambda _: self._wake())
        if engine.probe.done():
            self._hear(engine, engine.probe)
        return True

    def _hear(self, engine: Engine, probe: Pending) -> None:
        """Take what an engine says of itself and its host."""
        if probe.exception() is not None:
            engine.probe = None
            return
        answer = probe.result()
        # By the id we asked for: a controller that was restarted may have given it another one.
        host = self._meet({**answer, "engine": engine.id})
        self.is_taken(answer)
        # What it has seen before they came says nothing any more.
        if host.delivery is None and (answer["ready"] or engine.asked > host.served):
            host.ready = answer["ready"]
        if answer["unable"]:
            self.leave_out(host.name, answer["unable"])
        engine.draining, engine.look_again = answer["draining"], time.monotonic() + RETRY
        self._backend.forget(probe)

    def _deliver(self, host: Host) -> bool:
        """Start a delivery where one is needed; return whether one has just arrived."""
        now = time.monotonic()
        if host.delivery is not None:
            if not host.delivery.over:
                gone = host.delivery.engine not in self.engines
                if gone or now - host.delivery.moved > STALLED:
                    host.delivery.give_up()
                    host.delivery = None
                return False
            host.problem, host.remark = host.delivery.problem, host.delivery.remark
            host.sent += host.delivery.sent
            host.fetched += host.delivery.fetched
            host.ready, host.served = not host.problem, now
            self._fit = None
            host.not_before = now + RETRY if host.problem else 0.0
            host.delivery = None
            return host.ready
        if now < host.not_before:
            return False
        through = [
            engine.id
            for engine in self.engines.values()
            if engine.node == host.name and not engine.draining
        ]
        if through:
            # The last to come is the least likely to be busy, but for one that has just refused:
            # behind a long evaluation all others of the host would wait for files.
            engine_id = host.lacking if host.lacking in through else through[-1]
            host.delivery = Delivery(
                *(self._backend, engine_id, host.name, self._bundle),
                *(self._spread, self._search, self._wake),
            )
            host.delivery.start()
        return False


def _far_apart(ids: list[int]) -> list[int]:
    """Return them in an order in which each stretch has some of all parts, and of all distances."""
    places = sorted(range(len(ids)), key=lambda place: place * GOLDEN % 1.0)
    return [ids[place] for place in places]
