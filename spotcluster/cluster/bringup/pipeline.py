"""Nodes as pipelines: launch, address, SSH, set-up, plugins, ready, each at its own pace."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from spotcluster import threads
from spotcluster.aws import instances, tags
from spotcluster.cluster import hooks, limits
from spotcluster.cluster.bringup import autostop
from spotcluster.cluster.bringup.failures import Failure, GivenUp, OnFailure, can_be_cured, examine
from spotcluster.cluster.bringup.member import ADDRESS, LAUNCH, READY, SET_UP, SSH, Member, Span
from spotcluster.cluster.bringup.places.kinds import MASTER
from spotcluster.cluster.bringup.set_up import Equipped, equip, watching
from spotcluster.cluster.bringup.together.gates import Gate
from spotcluster.cluster.bringup.together.gathering import Gathering
from spotcluster.cluster.bringup.together.tagging import Tagger
from spotcluster.cluster.bringup.watcher import Watcher
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node, forget_others, introduce, let_in
from spotcluster.cluster.reporter import Reporter
from spotcluster.errors import CapacityError, NodeError, SpotclusterError
from spotcluster.plugins.base import Plugin

log = logging.getLogger("spotcluster.pipeline")

_LAST_LAUNCH = 15.0  # seconds that an interrupt waits for a launch under way
_REBOOT_POLL = 0.5  # seconds until a machine that has yet to go down is asked again
_CAPACITY_PAUSE = 5.0  # seconds until EC2 is asked again for capacity that it did not have


class Pipeline:
    """Brings nodes up, all at the same time.

    Parameters
    ----------
    plugins : sequence of (str, Plugin)
        Name and plugin, in the order in which they run.
    replacements : int
        How often a node that fails is replaced before it is dropped.
    still_wanted : callable
        Tells whether a node that failed is still to be replaced: the cluster may have been ended.
    format_new : bool
        Whether volumes that nothing was ever written to get a file system.
    """

    def __init__(
        self,
        cluster: Cluster,
        plugins: Sequence[tuple[str, Plugin]],
        watcher: Watcher,
        reporter: Reporter,
        *,
        launch_timeout: float,
        ssh_timeout: float,
        setup_timeout: float,
        on_failure: OnFailure = OnFailure.REPLACE,
        replacements: int = 2,
        still_wanted: Callable[[], bool] = lambda: True,
        format_new: bool = False,
    ) -> None:
        self.cluster = cluster
        self.plugins = plugins
        self.watcher = watcher
        self.reporter = reporter
        self.launch_timeout = launch_timeout
        self.ssh_timeout = ssh_timeout
        self.setup_timeout = setup_timeout
        self.on_failure = on_failure
        self.replacements = replacements if on_failure is OnFailure.REPLACE else 0
        self.still_wanted = still_wanted
        self.format_new = format_new
        self._interrupted = threading.Event()
        self._aborted = threading.Event()
        self._why_aborted = ""
        self._aliases: set[str] = set()
        self._has_new_master = False
        self._coming: set[str] = set()
        self._masters: set[str] = set()
        self._gatherings: dict[str, Gathering] = {}
        self._tagger = Tagger(cluster.session)

    @property
    def aborted(self) -> bool:
        """Whether a node failed and nothing was to go on after that."""
        return self._aborted.is_set()

    @property
    def _for_the_master(self) -> float:
        """Seconds after which the master must be ready or have failed for good."""
        set_up = self.setup_timeout * (1 + len(self.plugins))
        return (1 + self.replacements) * (self.launch_timeout + self.ssh_timeout + set_up)

    def run(self, members: Sequence[Member]) -> None:
        """Bring the members up; returns when each is ready or has its `error`.

        An interrupt leaves as soon as no call that makes an instance is under way, so that whoever
        asks EC2 then sees everything; the threads are daemons and die with the process.
        """
        with_master = any(member.is_master for member in members)
        self._has_new_master = any(one.is_master and not one.returning for one in members)
        self._aliases = {node.alias for node in self.cluster.nodes} | {
            member.alias for member in members
        }
        self._coming = {member.alias for member in members if not member.is_master}
        self.cluster.expect(lambda: self._coming)
        self._tagger = Tagger(self.cluster.session, self._coming)
        self._masters = {member.alias for member in members if member.is_master}
        self._gatherings = {
            name: Gathering(name, lambda: self._coming | self._masters)
            for name, plugin in self.plugins
            if plugin.assembles
        }
        gates = {
            name: Gate(is_open=not with_master)
            for name in (SET_UP, *(name for name, _ in self.plugins), READY)
        }
        try:
            threads.on_each(
                members,
                lambda member: self._run_member(member, gates),
                lambda member: member.alias,
                until=lambda: self.aborted,
            )
            if self.aborted:
                self._leave(members)
        except KeyboardInterrupt:
            self._interrupted.set()
            self._wait_for_launches(members)
            raise

    def _leave(self, members: Sequence[Member]) -> None:
        """After a failure that ends everything: cut short what the others are at."""
        self._wait_for_launches(members)
        for member in members:
            if not member.ready:
                member.error = member.error or GivenUp(member.alias, self._why_aborted)
                if member.node:
                    member.node.close()

    def _wait_for_launches(self, members: Sequence[Member]) -> None:
        end = time.monotonic() + _LAST_LAUNCH
        while any(one.launching for one in members) and time.monotonic() < end:
            time.sleep(0.05)

    def _run_member(self, member: Member, gates: dict[str, Gate]) -> None:
        try:
            self._bring(member, gates)
        finally:
            self._coming.discard(member.alias)
            self._masters.discard(member.alias)

    def _bring(self, member: Member, gates: dict[str, Gate]) -> None:
        while True:
            self._try(member, gates)
            if member.error is None or self._interrupted.is_set() or self.aborted:
                return
            failure = self._failed(member, member.error)
            for gathering in self._gatherings.values():
                gathering.failed(member.alias)
            if not self._replaces(member, failure):
                break
            if member.is_master:
                for gate in gates.values():
                    gate.close()
        if self.on_failure is OnFailure.ABORT:
            self._why_aborted = f"given up, since {member.alias} failed (--on-failure abort)."
            self._aborted.set()
        if member.is_master:
            for gate in gates.values():
                gate.fail(failure.error)

    def _try(self, member: Member, gates: dict[str, Gate]) -> None:
        member.error = None
        member.equipped = Equipped()
        member.stage = ""
        member.stages.clear()
        try:
            self._stages(member, gates)
        except SpotclusterError as error:
            member.error = error
        except Exception as error:
            log.exception("%s: not foreseen", member.alias)
            member.error = NodeError(member.alias, f"{type(error).__name__}: {error}")

    def _failed(self, member: Member, error: SpotclusterError) -> Failure:
        """Say how a member failed, with what its machine can still tell."""
        instance = member.instance
        if instance and (lost := self.watcher.lost(instance.id)) and lost not in str(error):
            error.message += f" By now {lost}."
        failure = examine(
            self.cluster.session,
            self.cluster.name,
            member.alias,
            member.stage,
            error,
            instance,
            member.stages,
        )
        member.failures.append(failure)
        log.error("%s failed: %s", member.alias, failure)
        self.reporter.failed(member.alias, str(failure))
        return failure

    def _replaces(self, member: Member, failure: Failure) -> bool:
        """Take a failed member's machine away to put another in its place; False if not."""
        if len(member.failures) > self.replacements:
            return False
        if not can_be_cured(failure.error):
            return False
        count = len(member.failures)
        if member.returning:
            if not isinstance(failure.error, CapacityError):
                return False
            self.reporter.note(f"{member.alias}: trying again ({count} of {self.replacements})")
            return not self._interrupted.wait(_CAPACITY_PAUSE * count)
        try:
            if not self.still_wanted():
                return False
            self.discard(member)
        except SpotclusterError as error:
            log.warning("%s is not replaced: %s", member.alias, error)
            return False
        self.reporter.note(
            f"{member.alias}: {failure.instance.id if failure.instance else 'the launch'} is"
            f" replaced ({count} of {self.replacements})"
        )
        if isinstance(failure.error, CapacityError):
            self._interrupted.wait(_CAPACITY_PAUSE * count)
        return True

    def discard(self, member: Member) -> None:
        """Terminate a member's instance, and let its node go."""
        if member.node:
            member.node.close()
        if member.instance is None:
            return
        self.watcher.discard(member.instance.id)
        instances.terminate(self.cluster.session, [member.instance.id], new=True)
        self.cluster.left(member.alias)
        member.node = member.instance = None
        member.asleep = ""

    @contextlib.contextmanager
    def _stage(self, member: Member, name: str) -> Iterator[None]:
        if why := self._stop():
            raise GivenUp(member.alias, why)
        if member.stage != name:
            member.stage = name
            self.reporter.stage(member.alias, name)
        start = time.monotonic()
        try:
            yield
        finally:
            member.spans.append(Span(name, start, time.monotonic()))
        member.stages[name] = member.stages.get(name, 0.0) + time.monotonic() - start

    def _stop(self) -> str | None:
        """Return why nothing is to go on."""
        if self._interrupted.is_set():
            return "given up, since you interrupted."
        return self._why_aborted if self.aborted else None

    def _stages(self, member: Member, gates: dict[str, Gate]) -> None:
        is_master = member.is_master
        with self._stage(member, LAUNCH):
            self._launch(member)
        assert member.instance
        if member.instance.alias != member.alias:
            self.reporter.note(
                f"{member.alias} has been taken from elsewhere; this one is {member.instance.alias}"
            )
            self._coming.discard(member.alias)
            member.alias = member.instance.alias
            self._coming.add(member.alias)
        instance = member.instance
        with self._stage(member, ADDRESS):
            seen = self.watcher.wait_running(
                member.alias, instance.id, timeout=self.launch_timeout, should_stop=self._stop
            )
            # EC2 may show the tags later than the instance; we know what we gave it.
            instance = replace(seen, tags={**instance.tags, **seen.tags})
            member.instance = instance
            if rival := self.watcher.rival(instance):
                raise GivenUp(member.alias, f"the older instance {rival.id} has its name.")
        node = member.node = member.make_node(instance)
        node.timed = member.note_step
        with self._stage(member, SSH):
            self._connect(member, node)
        with self._stage(member, SET_UP):
            self._equip(member, node)
        if is_master:
            gates[SET_UP].open()
            self._plug_in(member, node, gates)
        else:
            self._join_master(member, node, gates)
        node.timed = None
        self._tagger.put(node, {tags.STATE: "ready"})
        with self._stage(member, READY):
            pass
        if is_master:
            gates[READY].open()

    def _join_master(self, member: Member, node: Node, gates: dict[str, Gate]) -> None:
        """Make a worker one of the master's; once more when that is replaced meanwhile."""
        while True:
            met = ""
            try:
                with self._stage(member, SET_UP):
                    with member.waiting():
                        gates[SET_UP].wait(member.alias, "its set-up", self._for_the_master)
                    met = self._master_id()
                    with limits.limit(self.setup_timeout):
                        self._introduce(node)
                self._plug_in(member, node, gates)
                # Before that, it may still be replaced by one that knows nothing of this node.
                with member.waiting():
                    gates[READY].wait(member.alias, "its plugins", self._for_the_master)
            except GivenUp:
                raise
            except SpotclusterError as error:
                if met and isinstance(error, NodeError) and error.alias == MASTER:
                    # Not this node failed: a master that is ready, or another one, will tell.
                    gates[READY].wait(member.alias, "its plugins", self._for_the_master)
                if not met or met == self._master_id():
                    raise
                log.info("%s: the master went meanwhile: %s", member.alias, error)
            if met == self._master_id():
                return
            self.reporter.note(f"{member.alias}: once more, since the master has been replaced")

    def _introduce(self, node: Node) -> None:
        master = self.cluster.master
        own = [*autostop.following(self.cluster, node, master), *watching(node)]
        let_in(master, node, own)

        def name(workers: Sequence[Node]) -> None:
            introduce(master, workers)

        self.cluster.together(("names", master.instance.id), node, name)

    def _master_id(self) -> str:
        """Return the master's instance; empty where there is none."""
        master = self.cluster.live_master
        return master.instance.id if master else ""

    def _plug_in(self, member: Member, node: Node, gates: dict[str, Gate]) -> None:
        # A master that is new knows nothing of the nodes that were there before.
        comes_back = member.returning and not self._has_new_master
        for name, plugin in self.plugins:
            if name in self._gatherings:
                self._gather(member, node, name, plugin, gates[name])
                continue
            meet = functools.partial(self._meet, member, name, gates[name])
            with self._stage(member, name):
                if not member.is_master and plugin.after_master:
                    meet()
                hook = plugin.restart if comes_back else plugin.setup
                with (
                    limits.limit(self.setup_timeout),
                    self.cluster.meeting(member.alias, meet),
                ):
                    hooks.call(name, hook, self.cluster, node)
                if member.is_master:
                    meet()

    def _gather(self, member: Member, node: Node, name: str, plugin: Plugin, gate: Gate) -> None:
        """Have a plugin set this node up together with all others that still come."""

        def assemble(nodes: Sequence[Node]) -> None:
            hooks.call_within(
                self.setup_timeout,
                "SETUP_TIMEOUT",
                name,
                lambda cluster: plugin.assemble(cluster, nodes),
                self.cluster,
            )

        def why() -> str | None:
            return self._stop() or gate.why_failed

        with self._stage(member, name):
            self._gatherings[name].join(
                node, assemble, timeout=self._for_the_master, should_stop=why
            )
        if member.is_master:
            gate.open()

    def _meet(self, member: Member, name: str, gate: Gate) -> None:
        """Open a plugin's gate, as the master; else wait for that."""
        if member.is_master:
            gate.open()
            return
        with limits.paused(), member.waiting():
            gate.wait(member.alias, f"plugin {name}", self._for_the_master)

    def _launch(self, member: Member) -> None:
        if member.asleep:
            self.watcher.wait_stopped(
                member.alias, member.asleep, timeout=self.launch_timeout, should_stop=self._stop
            )
            self.watcher.comes_back(member.asleep)
        member.launching = True
        try:
            if why := self._stop():  # once more: `launching` is what an interrupt waits for
                raise GivenUp(member.alias, why)
            member.instance = member.launch()
        finally:
            member.launching = False

    def _connect(self, member: Member, node: Node) -> None:
        """Wait until SSH lets us in, and the machine is the one we want."""
        end = time.monotonic() + self.ssh_timeout

        def why() -> str | None:
            return self._stop() or self.watcher.lost(node.instance.id)

        while True:
            node.wait_for_ssh(timeout=max(1.0, end - time.monotonic()), should_stop=why)
            if member.is_up(node):
                return
            node.close()
            if time.monotonic() > end:
                raise NodeError(
                    member.alias,
                    f"it had not rebooted after {self.ssh_timeout:.0f} s (SSH_TIMEOUT).",
                )
            self._interrupted.wait(_REBOOT_POLL)

    def _equip(self, member: Member, node: Node) -> None:
        with limits.limit(self.setup_timeout):
            member.equipped = equip(self.cluster, node, self._tagger, format_new=self.format_new)
            if member.is_master and member.returning:
                forget_others(node, self._aliases)
        self.cluster.joined(node)
