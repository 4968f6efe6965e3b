"""A node on its way into a cluster, and how its machine is come by."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from spotcluster.aws import instances
from spotcluster.aws.images import Image
from spotcluster.aws.instances import Instance
from spotcluster.aws.session import Session
from spotcluster.cluster.bringup.failures import Failure
from spotcluster.cluster.bringup.launch import Launcher
from spotcluster.cluster.bringup.places.kinds import MASTER
from spotcluster.cluster.bringup.plans import PlannedNode
from spotcluster.cluster.bringup.set_up import Equipped
from spotcluster.cluster.node import Node
from spotcluster.errors import SpotclusterError

LAUNCH, ADDRESS, SSH, SET_UP, READY = "launch", "address", "ssh", "set-up", "ready"


@dataclass(frozen=True)
class Span:
    """Something that was under way from `begin` to `end`, by `time.monotonic`."""

    name: str
    begin: float
    end: float


@dataclass
class Member:
    """A node on its way into the cluster.

    Attributes
    ----------
    launch : callable
        Makes the instance and returns it, or returns the one that is there already.
    returning : bool
        Whether it was in the cluster before, with what its disk holds: it is brought back by its
        plugins' `restart`, and when that fails its machine is left as it is.
    asleep : str
        The id of the instance that has stopped, or is stopping, and that `launch` starts.
    is_up : callable
        Tells whether the machine that lets us in is the one we want: not one about to reboot.
    equipped : Equipped
        What came of its set-up.
    image : Image or None
        What its machine is launched from; None for one that is there already.
    stages : dict
        How long each stage took, in seconds, in order.
    spans : list of Span
        When each was under way, with those of machines that failed.
    waits : list of Span
        When it waited for the master.
    steps : list of Span
        The round trips to its machine.
    stage : str
        What it is at.
    error : SpotclusterError or None
        Why it did not get ready.
    failures : list of Failure
        Its machines that failed, the last one too.
    """

    alias: str
    launch: Callable[[], Instance]
    make_node: Callable[[Instance], Node]
    returning: bool = False
    asleep: str = ""
    is_up: Callable[[Node], bool] = lambda _: True
    instance: Instance | None = None
    node: Node | None = None
    equipped: Equipped = field(default_factory=Equipped)
    image: Image | None = None
    stages: dict[str, float] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    waits: list[Span] = field(default_factory=list)
    steps: list[Span] = field(default_factory=list)
    stage: str = ""
    error: SpotclusterError | None = None
    failures: list[Failure] = field(default_factory=list)
    launching: bool = False

    def note_step(self, what: str, begin: float, end: float) -> None:
        """Write down a round trip to its machine."""
        self.steps.append(Span(what, begin, end))

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Write down that it waits for the master, in the block."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.waits.append(Span("waiting for the master", begin, time.monotonic()))

    @property
    def is_master(self) -> bool:
        """Whether it is to be the master."""
        return self.alias == MASTER

    @property
    def keeps_disk(self) -> bool:
        """Whether its machine is not to be terminated, for what its disk may hold."""
        return self.returning and not (self.instance and self.instance.spot)

    @property
    def ready(self) -> bool:
        """Whether it has gone through every stage."""
        return READY in self.stages


def launched(
    launcher: Launcher,
    session: Session,
    planned: PlannedNode,
    make_node: Callable[[Instance], Node],
    there: Sequence[Instance],
) -> Member:
    """Return the member for a planned node; one that is there already is not launched at first."""
    waiting = [one for one in there if one.alias == planned.alias]

    def launch() -> Instance:
        if not waiting:
            return launcher.launch(planned)
        _wake(session, waiting[0])
        return waiting.pop()

    asleep = [one.id for one in waiting if one.state in instances.STOPPED]
    return Member(
        planned.alias,
        launch,
        make_node,
        asleep=asleep[0] if asleep else "",
        image=planned.image,
    )


def brought_back(session: Session, one: Instance, make_node: Callable[[Instance], Node]) -> Member:
    """Return the member for a node that was set up once and comes back with its disk."""

    def launch() -> Instance:
        _wake(session, one)
        return one

    return Member(
        one.alias,
        launch,
        make_node,
        returning=True,
        asleep=one.id if one.state in instances.STOPPED else "",
    )


def _wake(session: Session, one: Instance) -> None:
    if one.state in instances.STOPPED:
        instances.start(session, one.id)
