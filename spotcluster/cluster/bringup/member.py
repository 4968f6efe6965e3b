"""A node on its way into a cluster, and how its machine is come by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from spotcluster.aws import instances
from spotcluster.aws.instances import Instance
from spotcluster.aws.session import Session
from spotcluster.cluster.bringup.failures import Failure
from spotcluster.cluster.bringup.launch import Launcher
from spotcluster.cluster.bringup.plans import MASTER, PlannedNode
from spotcluster.cluster.bringup.set_up import Equipped
from spotcluster.cluster.node import Node
from spotcluster.errors import SpotclusterError

LAUNCH, ADDRESS, SSH, SET_UP, READY = "launch", "address", "ssh", "set-up", "ready"


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
    stages : dict
        How long each stage took, in seconds, in order.
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
    stages: dict[str, float] = field(default_factory=dict)
    stage: str = ""
    error: SpotclusterError | None = None
    failures: list[Failure] = field(default_factory=list)
    launching: bool = False

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
