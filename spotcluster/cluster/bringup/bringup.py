"""Bringing nodes up, and what is done about those that fail; for `start`, `addnode`, `restart`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from spotcluster import files, threads
from spotcluster.aws.images import Image
from spotcluster.cluster import records
from spotcluster.cluster.bringup import packages, set_up
from spotcluster.cluster.bringup.failures import OnFailure
from spotcluster.cluster.bringup.making import ended_elsewhere
from spotcluster.cluster.bringup.member import Member
from spotcluster.cluster.bringup.pipeline import Pipeline
from spotcluster.cluster.bringup.watcher import Watcher
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.node import Node
from spotcluster.cluster.volumes.mounting import Outcome
from spotcluster.errors import ClusterError, SpotclusterError
from spotcluster.plugins.ipcluster import IPCluster
from spotcluster.plugins.pypackages import PyPkgInstaller


@dataclass(frozen=True)
class Result:
    """What came of bringing nodes up.

    Attributes
    ----------
    elapsed : float
        Seconds from the first call to the last node that got ready.
    volumes : Outcome
        What came of mounting the cluster's volumes, where its master was set up now.
    begin : float
        When it began, by `time.monotonic`.

    Notes
    -----
    Call `conclude` when the user has been told.
    """

    cluster: Cluster
    members: tuple[Member, ...]
    elapsed: float
    volumes: Outcome = field(default_factory=Outcome)
    begin: float = 0.0

    def conclude(self) -> None:
        """Write down that all of it is done; see `records.conclude`."""
        records.conclude(self.cluster.session, self.cluster.record)

    @property
    def failed(self) -> list[Member]:
        """The nodes that did not get ready."""
        return [member for member in self.members if not member.ready]

    @property
    def phases(self) -> dict[str, float]:
        """How long each stage took on the node that took longest, in seconds, in order."""
        longest: dict[str, float] = {}
        for member in self.members:
            for stage, seconds in member.stages.items():
                longest[stage] = max(longest.get(stage, 0.0), seconds)
        return longest

    @property
    def saved(self) -> list[tuple[Image, list[str], float]]:
        """The images of ours that nodes had packages from, whose, and the seconds of the slowest.

        That is how long the plugins that install packages took, which found them there.
        """
        names = [name for name, one in self.cluster.plugins() if isinstance(one, PyPkgInstaller)]
        found: dict[Image, dict[str, float]] = {}
        for one in self.members:
            if names and one.ready and one.image and one.image.took:
                seconds = sum(one.stages.get(name, 0.0) for name in names)
                found.setdefault(one.image, {})[one.alias] = seconds
        return [(image, list(took), max(took.values())) for image, took in found.items()]

    @property
    def nodes(self) -> list[Node]:
        """The nodes that got ready now; those that were there before are not touched."""
        return [member.node for member in self.members if member.ready and member.node]

    @property
    def left_out(self) -> dict[str, list[str]]:
        """What could not be done, in words, and the nodes where it could not.

        Of nodes that are added, what could not be done on the master either was said at the start.
        """
        found: dict[str, list[str]] = {}
        said = self._lacking_before()
        for member in self.members:
            steps = [one for one in member.equipped.left_out if one not in said]
            if member.ready and steps:
                found.setdefault(", ".join(steps), []).append(member.alias)
        return found

    def _lacking_before(self) -> list[str]:
        masters = [node for node in self.cluster.nodes if node.is_master]
        if not masters or any(member.alias == masters[0].alias for member in self.members):
            return []
        facts = masters[0].facts_if_asked
        return set_up.lacking(self.cluster, facts) if facts else []

    @property
    def troubles(self) -> list[str]:
        """What went wrong without making a node unusable, in sentences."""
        return list(self.volumes.troubles)

    @property
    def problem(self) -> SpotclusterError | None:
        """What is wrong, as an error to raise; None where nothing is."""
        name, start = self.cluster.name, f"`spotcluster -r {self.cluster.region} start"
        if self.failed:
            return SpotclusterError(
                f"{len(self.failed)} of {len(self.members)} nodes did not get ready:"
                f" {', '.join(member.alias for member in self.failed)}.",
                f"{start} {name}` tries again with the template it has; to correct the config"
                f" first, `spotcluster -r {self.cluster.region} terminate {name}`.",
            )
        if self.troubles:
            return SpotclusterError(
                "\n".join(self.troubles),
                f"The cluster can be used without; {start} {name}` tries again to mount what is"
                " not mounted.",
            )
        return None

    @property
    def engines(self) -> int:
        """How many engines these nodes have; all of them have answered."""
        plugins = [one for _, one in self.cluster.plugins() if isinstance(one, IPCluster)]
        numbers: list[int] = [one.engines(node) for one in plugins for node in self.nodes]
        return sum(numbers)


def bring_up(
    cluster: Cluster,
    members: Sequence[Member],
    begin: float,
    on_failure: OnFailure = OnFailure.REPLACE,
    *,
    format_new: bool = False,
) -> Result:
    """Run the members through the pipeline; workers that fail are replaced or terminated.

    Raises
    ------
    ClusterError
        The cluster was ended from elsewhere meanwhile, or a node failed and `on_failure` is
        abort: what these members had launched has been terminated.
    """
    limits = cluster.record.template
    with Watcher(cluster.session, cluster.name) as watcher:
        pipeline = Pipeline(
            cluster,
            cluster.plugins(),
            watcher,
            cluster.reporter,
            launch_timeout=limits.launch_timeout,
            ssh_timeout=limits.ssh_timeout,
            setup_timeout=limits.setup_timeout,
            on_failure=on_failure,
            replacements=limits.replacements,
            still_wanted=lambda: is_wanted(cluster),
            format_new=format_new,
        )
        pipeline.run(members)
        cluster.keep_host_keys()
        volumes = next((one.equipped.volumes for one in members if one.is_master), Outcome())
        result = Result(cluster, tuple(members), time.monotonic() - begin, volumes, begin)
        if pipeline.aborted:
            _undo(pipeline, members)
            raise _aborted(cluster, result)
        if not any(member.is_master for member in result.failed):
            _drop(pipeline, result.failed)
        # Beside EC2's answer, which shows every instance.
        listed: list[packages.Listings] = []
        asking = threads.begin(lambda: listed.append(packages.listings(cluster, result.nodes)))
        record = records.settle(cluster.session, cluster.record)
        if record is None:
            _undo(pipeline, members)
            now = records.find(cluster.session, cluster.name)
            if now and not now.ending and cluster.record.was_stopped_since(now):
                raise _stopped_elsewhere(cluster.name)
            files.forget_cluster(cluster.region, cluster.name)
            raise ended_elsewhere(cluster.name)
        cluster.record = record
    threads.wait([asking])
    for found in listed:
        packages.conclude(cluster, found)
    return result


def is_wanted(cluster: Cluster) -> bool:
    """Return whether nobody has ended or stopped the cluster, or begun to."""
    return records.is_wanted(cluster.record, records.find(cluster.session, cluster.name))


def _drop(pipeline: Pipeline, failed: Sequence[Member]) -> None:
    """Terminate the nodes that failed, so that none runs which nobody can use."""
    for member in failed:
        if member.keeps_disk:
            pipeline.reporter.note(f"{member.alias} is left as it is, for what its disk holds")
        elif member.instance:
            pipeline.discard(member)
            pipeline.reporter.note(f"{member.alias} was terminated, since it could not be set up")


def _undo(pipeline: Pipeline, members: Sequence[Member]) -> None:
    """Terminate all that these members have launched."""
    for member in members:
        if member.instance and not member.keeps_disk:
            pipeline.discard(member)


def _stopped_elsewhere(name: str) -> ClusterError:
    """Return the error for a cluster that somebody has stopped while nodes were made for it."""
    return ClusterError(
        f"'{name}' has been stopped from elsewhere meanwhile; the nodes made here were ended.",
        f"`spotcluster start {name}` brings it back.",
    )


def _aborted(cluster: Cluster, result: Result) -> ClusterError:
    first = next(one for one in result.failed if one.failures)
    what = f"spotcluster -r {cluster.region}"
    return ClusterError(
        f"{first.alias} failed, and --on-failure abort ended the {len(result.members)} node(s) of"
        " this command.",
        f"`{what} terminate {cluster.name}` ends what is left of the cluster."
        if any(one.is_master for one in result.members)
        else f"The other nodes of '{cluster.name}' go on.",
    )
