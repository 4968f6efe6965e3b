"""How a running cluster does: its nodes, engines and queue, and the jobs and searches on it.

Everything is asked from where it is known without disturbing anybody: EC2 for the nodes, the
controller for engines and queue (an engine that computes could not answer), the machines by one
short script each. Each source is asked by a thread of its own, again and again while somebody
watches, so that one that does not answer delays none of the others; what is shown of it then is
what it said last, and that it is silent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, Self, TypeVar

from spotcluster.aws import instances, tags
from spotcluster.aws.instances import Instance
from spotcluster.cluster import records
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.records import Record, Snapshot
from spotcluster.cluster.status import costs, listing, notices, receipts
from spotcluster.cluster.status.controller import Answer, Controller
from spotcluster.cluster.status.vitals import Examiner, RunningJob, Vitals
from spotcluster.errors import ClusterError, SpotclusterError

log = logging.getLogger("spotcluster.status")

LIMIT = 12.0
"""Seconds that a machine or the controller has to answer."""
_OFTEN = 2.0  # seconds between two questions to machines and the controller, when watching
_SELDOM = 15.0  # and to EC2, which limits how many calls an account may make
_NO_MASTER = "there is no master that runs"
_PRICES = 300.0  # seconds for which prices are taken to hold

T = TypeVar("T")


@dataclass(frozen=True)
class NodeStatus:
    """A node.

    Attributes
    ----------
    price : float or None
        USD per hour; None when it is not known, or the node does not run.
    vitals : Vitals or None
        What its machine said last; None when it has said nothing yet.
    problem : str
        Why the machine says nothing, empty when it does.
    cost : float or None
        About what it has cost in USD since it was started last; None when not known.
    answered : float or None
        When the machine said that, in seconds since 1970.
    """

    instance: Instance
    price: float | None
    vitals: Vitals | None
    problem: str
    cost: float | None = None
    answered: float | None = None

    @property
    def alias(self) -> str:
        """Its name in the cluster."""
        return self.instance.alias

    @property
    def state(self) -> str:
        """How it is, in a word or two."""
        if self.instance.state != "running":
            return self.instance.state
        if self.problem:
            return "unreachable"
        if self.vitals and self.vitals.draining:
            return "draining"
        return "ready" if self.instance.ready else "not set up"


@dataclass(frozen=True)
class Status:
    """A cluster.

    Attributes
    ----------
    price, cost : float or None
        What it costs in USD per hour, and about what it has cost; None when not known.
    controller : Answer or None
        What the controller said last; None when it has said nothing yet.
    problem : str
        Why the controller says nothing, empty when it does.
    clock_ahead : float
        Seconds by which the master's clock is ahead of ours.
    budget, max_hours : float or None
        The most in USD that it may cost, and that it may run for.
    keeps_itself : bool
        Whether its master is to keep its size.
    taken : tuple of Instance
        Nodes that EC2 has taken back, as far as it still shows them.
    controller_answered, cloud_answered : float or None
        When the controller and EC2 said what they did last, in seconds since 1970.
    """

    name: str
    region: str
    state: str
    created: datetime
    up_since: datetime | None
    size: int
    price: float | None
    cost: float | None
    nodes: tuple[NodeStatus, ...]
    controller: Answer | None
    problem: str
    clock_ahead: float = 0.0
    budget: float | None = None
    max_hours: float | None = None
    taken: tuple[Instance, ...] = ()
    keeps_itself: bool = False
    controller_answered: float | None = None
    cloud_answered: float | None = None

    @property
    def leaving(self) -> tuple[Instance, ...]:
        """The nodes that EC2 has said it takes back, as far as they have told."""
        return tuple(
            one.instance
            for one in self.nodes
            if one.vitals and any(said.kind == "interruption" for said in one.vitals.notices)
        )

    @property
    def jobs(self) -> tuple[RunningJob, ...] | None:
        """The jobs that run on the master; None when it has said nothing yet."""
        return self.of_master.jobs if self.of_master else None

    @property
    def of_master(self) -> Vitals | None:
        """How the master's machine does; None when it has said nothing yet."""
        said = [one.vitals for one in self.nodes if one.instance.is_master]
        return said[0] if said else None

    @property
    def busy(self) -> tuple[str, ...]:
        """What keeps it from ending by itself: what its master has seen, and what we see by now.

        The master looks every half minute, so for a while it has not heard of what has just begun.
        """
        found = list(self.of_master.busy) if self.of_master else []
        answer = None if self.problem else self.controller
        if answer and (answer.waiting or answer.running):
            found.append("tasks at the controller")
        found += [f"job {job.id}" for job in self.jobs or ()]
        return tuple(dict.fromkeys(found))

    @property
    def other_packages(self) -> list[str]:
        """The nodes that have other packages than the master, as far as they have answered."""
        said = {node.alias: node.vitals.packages for node in self.nodes if node.vitals}
        masters = [said.get(node.alias) for node in self.nodes if node.instance.is_master]
        reference = masters[0] if masters else None
        return [alias for alias, own in said.items() if reference and own and own != reference]

    def problem_of(self, node: NodeStatus) -> str:
        """What is wrong with a node, empty when nothing is."""
        if node.problem or node.alias not in self.other_packages:
            return node.problem
        return (
            "its packages differ from the master's; `spotcluster runplugin PLUGIN"
            f" {self.name}` of the plugin that they are from installs them"
        )

    @property
    def searches_on_master(self) -> str:
        """What searches that run on the master say."""
        return "".join(
            node.vitals.searches for node in self.nodes if node.instance.is_master and node.vitals
        )


@dataclass
class _Said(Generic[T]):
    """What a source said last, and why it says nothing now."""

    value: T | None = None
    error: Exception | None = None
    asked: bool = False  # once at least
    at: float | None = None  # when it said that, in seconds since 1970

    def problem(self, *, watching: bool) -> str:
        if isinstance(self.error, SpotclusterError):
            return self.error.message
        if self.error is not None:
            return f"{type(self.error).__name__}: {self.error}"
        return "" if self.asked or watching else "it has not answered in time"


@dataclass(frozen=True)
class _Cloud:
    record: Record
    nodes: tuple[Instance, ...]
    prices: Mapping[str, float | None] = field(default_factory=dict)
    cost: float | None = None
    taken: tuple[Instance, ...] = ()
    costs: Mapping[str, float | None] = field(default_factory=dict)


class _Source(threading.Thread, Generic[T]):
    """Asks one source, once or again and again."""

    def __init__(
        self,
        name: str,
        ask: Callable[[], T],
        close: Callable[[], None],
        changed: threading.Condition,
        pause: float | None,
    ) -> None:
        super().__init__(name=f"status of {name}", daemon=True)
        self.said: _Said[T] = _Said()
        self._ask = ask
        self._close = close
        self._changed = changed
        self._pause = pause
        self._over = threading.Event()

    def run(self) -> None:
        try:
            while not self._over.is_set():
                said = self._once()
                with self._changed:
                    self.said = said
                    self._changed.notify_all()
                if self._pause is None or self._over.wait(self._pause):
                    return
        finally:
            self._close()

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()

    def _once(self) -> _Said[T]:
        last, when = self.said.value, self.said.at
        try:
            return _Said(self._ask(), asked=True, at=time.time())
        except SpotclusterError as error:
            log.info("%s: %s", self.name, error)
            return _Said(last, error, asked=True, at=when)
        except Exception as error:  # what nobody foresaw of one source must not hide the others
            log.exception("%s: not foreseen", self.name)
            return _Said(last, error, asked=True, at=when)


class Observer:
    """Looks at a cluster, once or until it is closed; a context manager.

    Parameters
    ----------
    watching : bool
        Whether to ask again and again.
    limit : float
        Seconds that a machine or the controller has to answer.
    often : float
        Seconds between two questions to each, when watching.
    look : callable, optional
        Returns the cluster as EC2 shows it, where it is not to be asked in the usual way.
    priced : bool
        Whether to ask what it costs, too.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        watching: bool = False,
        limit: float = LIMIT,
        often: float = _OFTEN,
        look: Callable[[], Snapshot] | None = None,
        priced: bool = True,
    ) -> None:
        self._often = often
        self._cluster = cluster
        self._watching = watching
        self._limit = limit
        self._changed = threading.Condition()
        self._priced = 0.0
        self._tariff = costs.Tariff(cluster.session) if priced else None
        self._snapshot = look or (lambda: records.look(cluster.session, cluster.name))
        self._cloud = self._look()
        self._began = time.time()
        self._sources: dict[str, _Source[Vitals]] = {}  # by instance
        self._examiners: dict[str, Examiner] = {}
        self._controller: _Source[Answer] | None = None
        self._ec2 = self._source("EC2", self._look, lambda: None, _SELDOM)

    def __enter__(self) -> Self:
        self._follow()
        if self._watching:
            self._ec2.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ask nobody any more."""
        for source in [self._ec2, self._controller, *self._sources.values()]:
            if source is not None:
                source.stop()

    def wait(self, timeout: float) -> bool:
        """Wait until every source has answered or been given up; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(self._all_asked, timeout)

    def look(self) -> Status:
        """Return how the cluster does, as far as is known now; waits for nothing.

        Raises
        ------
        ClusterError
            It has been terminated.
        """
        if isinstance(self._ec2.said.error, ClusterError):
            raise self._ec2.said.error
        if self._ec2.said.value is not None:
            self._cloud = self._ec2.said.value
            self._follow()
        cloud = self._cloud
        nodes = tuple(self._node(one) for one in cloud.nodes)
        known = [node.price for node in nodes]
        prices = [price for price in known if price is not None]
        said: _Said[Answer] = self._controller.said if self._controller else _Said()
        ahead = [n.vitals.clock_ahead for n in nodes if n.instance.is_master and n.vitals]
        return Status(
            name=self._cluster.name,
            region=self._cluster.region,
            state=listing.state_of(cloud.nodes, cloud.record.size, stopped=cloud.record.stopped),
            created=cloud.record.created,
            up_since=listing.up_since(cloud.nodes),
            size=cloud.record.size,
            price=sum(prices) if len(prices) == len(known) else None,
            cost=cloud.cost,
            nodes=nodes,
            controller=said.value,
            problem=said.problem(watching=self._watching) if self._controller else _NO_MASTER,
            clock_ahead=ahead[0] if ahead else 0.0,
            budget=cloud.record.template.budget,
            max_hours=cloud.record.template.max_hours,
            taken=cloud.taken,
            keeps_itself=cloud.record.keeps_itself,
            controller_answered=said.at,
            cloud_answered=self._ec2.said.at or self._began,
        )

    def _node(self, one: Instance) -> NodeStatus:
        source = self._sources.get(one.id)
        said: _Said[Vitals] = source.said if source else _Said()
        problem = said.problem(watching=self._watching) if source else ""
        problem = problem.removeprefix(f"{one.alias}: ")  # who shows it names the node
        if one.state == "running" and tags.HOST_KEY not in one.tags:
            problem = "its instance has lost its tags"
        price, cost = self._cloud.prices.get(one.id), self._cloud.costs.get(one.id)
        return NodeStatus(one, price, said.value, problem, cost, said.at)

    def _all_asked(self) -> bool:
        every = [self._controller, *self._sources.values()]
        return all(source is None or source.said.asked for source in every)

    def _follow(self) -> None:
        """Ask each node that runs, and the controller where there is a master."""
        here = {
            one.id: one
            for one in self._cloud.nodes
            if one.state == "running" and tags.HOST_KEY in one.tags
        }
        for gone in self._sources.keys() - here.keys():
            self._sources.pop(gone).stop()
            del self._examiners[gone]
        for number, one in here.items():
            node = self._cluster.make_node(one)
            if node.is_master:
                self._cluster.renew(node)  # for the controller
            if number in self._sources:
                self._examiners[number].target = node.target
                continue
            examiner = self._examiners[number] = Examiner(node)
            ask = _within(examiner.ask, self._limit)
            source = self._source(one.alias, ask, examiner.close, self._often)
            self._sources[number] = source
            source.start()
        if self._controller is None and any(one.is_master for one in here.values()):
            controller = Controller(self._cluster)
            ask_it = _within(controller.ask, self._limit)
            self._controller = self._source("controller", ask_it, controller.close, self._often)
            self._controller.start()

    def _source(
        self, name: str, ask: Callable[[], T], close: Callable[[], None], pause: float
    ) -> _Source[T]:
        return _Source(name, ask, close, self._changed, pause if self._watching else None)

    def _look(self) -> _Cloud:
        """Ask EC2."""
        session, now = self._cluster.session, self._snapshot()
        record, found = now.record, now.instances
        if record is None:
            raise ClusterError(f"The cluster '{self._cluster.name}' has been terminated.")
        nodes = tuple(instances.live(found))
        if self._tariff is None:
            return _Cloud(record, nodes)
        if time.monotonic() - self._priced > _PRICES:
            self._tariff = costs.Tariff(session)
            self._priced = time.monotonic()
        self._tariff.know(found)
        prices = {one.id: self._tariff.rate(one) for one in nodes}
        cost, when = costs.so_far(session, record, found, self._tariff), datetime.now(UTC)
        each = {one.id: self._tariff.cost(one, when) for one in nodes}
        receipts.settle(session, record, found)
        return _Cloud(record, nodes, prices, cost, notices.taken(costs.own(record, found)), each)


def _within(ask: Callable[[float], T], limit: float) -> Callable[[], T]:
    return lambda: ask(limit)
