"""stop, autostop, terminate, abort."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from spotcluster import files, wording
from spotcluster.cli import output, results
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.interrupts import nothing_done_yet, say_what_exists
from spotcluster.cli.options import USD, cluster_argument, yes_option
from spotcluster.errors import CloudError, NoSuchCluster

if TYPE_CHECKING:
    from spotcluster.aws.session import Session
    from spotcluster.cluster.status.vitals import RunningJob


@click.command(
    epilog="""\b
Examples:
  spotcluster stop mycluster
  spotcluster start mycluster     brings it back
"""
)
@cluster_argument("names", nargs=-1, required=True, metavar="NAME...")
@yes_option
@pass_context
def stop(context: Context, names: tuple[str, ...], *, yes: bool) -> int:
    """Stop clusters: the master and workers on demand keep their disks, spot workers are ended.

    Nothing runs then, and only the disks cost money, until `start NAME` brings it back.
    """
    for name in names:
        _stop(context, name, yes=yes)
    return 0


def _say_what_runs(jobs: Sequence[RunningJob]) -> None:
    """Tell who is about to be asked which jobs would be cut off."""
    for job in jobs:
        output.err.print(
            f"Job {job.id} still runs on the master, and is cut off: {shlex.join(job.command)}",
        )


def _stop(context: Context, name: str, *, yes: bool) -> None:
    from spotcluster import notify
    from spotcluster.cluster.lifecycle import stop as stopping
    from spotcluster.cluster.status import quick

    with nothing_done_yet(name):
        # A plugin of the config that is broken must not keep a cluster running.
        cluster = context.cluster(name)
        region = cluster.region
        parts = stopping.parts(cluster)
        if parts.done and cluster.record.stopped:
            output.out.print(f"'{name}' is stopped already.")
            return
        kept = ", ".join(one.alias for one in parts.kept)
        output.err.print(f"These stop and keep their disks: {kept}.")
        if parts.ended:
            ended = ", ".join(one.alias for one in parts.ended)
            output.err.print(
                "These are spot instances, which cannot stop; they are terminated with their disks,"
                f" and `start {name}` makes new ones: {ended}."
            )
        if not yes and output.can_ask():
            _say_what_runs(quick.jobs_of(cluster))
        output.confirm(f"Stop '{name}' in {region}?", yes=yes)
    try:
        with output.progress() as reporter:
            cluster.reporter = reporter
            done = stopping.stop(cluster)
    except (KeyboardInterrupt, CloudError):
        say_what_exists(cluster.session, name, f"stop {name}     ")
        raise
    notify.tell(context.hook, "stopped", name, f"'{name}' is stopped; only disks cost money.")
    output.out.print(
        f"Stopped '{name}'; only disks cost money now. Kept with its disk: {kept}. Terminated:"
        f" {wording.listed((one.alias for one in done.ended), 'nothing')}.\n"
        f"  spotcluster -r {region} start {name}       bring it back\n"
        f"  spotcluster -r {region} terminate {name}   end it and delete its disks"
    )


@click.command(
    epilog="""\b
Examples:
  spotcluster autostop mycluster        count its idle time from now
  spotcluster autostop mycluster 2h
  spotcluster autostop mycluster off
  spotcluster autostop mycluster --budget 40
"""
)
@cluster_argument()
@click.argument("time", required=False, metavar="[TIME|off]")
@click.option(
    "--budget", type=USD, metavar="USD", help="The most that it may cost from its start on."
)
@pass_context
def autostop(context: Context, name: str, time: str | None, *, budget: float | None) -> int:
    """Put off the end of an idle cluster, or say after how long idle it ends by itself.

    Idle is a cluster without an evaluation or any other task at the controller, a job, a notebook
    that computes, a login, or a transfer. Its workers end then, and its master stops or ends as
    AUTOSTOP_ACTION says.
    """
    from spotcluster.cluster.lifecycle import autostop as stopping

    with nothing_done_yet(name):
        cluster = context.cluster(name)
    with output.progress() as reporter:
        cluster.reporter = reporter
        try:
            limit = stopping.change(cluster, time, budget)
        except KeyboardInterrupt:
            words = [f"autostop {name}", *([time] if time else [])]
            words += [f"--budget {budget:g}"] if budget is not None else []
            say_what_exists(cluster.session, name, " ".join(words))
            raise
    when = f"ends after {wording.time_left(limit)} idle" if limit else "does not end by itself"
    output.out.print(f"'{name}' {when}{', counted from now' if limit else ''}.")
    results.show_ceiling(cluster)
    return 0


@click.command(epilog="Example: spotcluster terminate mycluster")
@cluster_argument("names", nargs=-1, required=True, metavar="NAME...")
@yes_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    help="Seconds to wait for the end; TERMINATE_TIMEOUT of its template by default.",
)
@pass_context
def terminate(context: Context, names: tuple[str, ...], *, yes: bool, timeout: float | None) -> int:
    """End clusters: every node, and everything that was made for them; volumes are kept."""
    from spotcluster import notify
    from spotcluster.cluster import lookup
    from spotcluster.cluster.lifecycle import terminate as end
    from spotcluster.cluster.status import quick
    from spotcluster.cluster.volumes import release

    config = context.config()
    keys = lookup.keys_of(config)
    for name in names:
        with nothing_done_yet(name):
            session = _session_with(context, name)
            kept = ", ".join(f"{one}, {one.size} GiB" for one in release.kept(session, name))
            besides = f"; volumes that are kept: {kept}" if kept else ""
            if not yes and output.can_ask():
                _say_what_runs(quick.running_jobs(session, name, keys))
            output.confirm(
                f"Terminate '{name}' in {session.region}? Its nodes' disks are deleted{besides}.",
                yes=yes,
            )
        try:
            with output.progress() as reporter:
                done = end.terminate(
                    session, name, reporter, timeout=timeout, keys=keys, plugins=config.plugins
                )
        except KeyboardInterrupt:
            say_what_exists(session, name, "")
            raise
        notify.tell(config.global_settings.hook, "stopped", name, f"'{name}' is terminated.")
        output.out.print(
            f"Terminated '{name}': {done.nodes} node(s) ended; EC2 has nothing of it any more."
        )
        if done.receipt:
            results.show_receipt(done.receipt)
        if kept:
            output.out.print(
                f"Volumes that are kept: {kept}; `spotcluster removevolume` deletes those you name."
            )
    return 0


@click.command(
    epilog="""\b
Examples:
  spotcluster abort mycluster            the search that runs there
  spotcluster abort mycluster 3f2a91     of several, the one whose name begins so
"""
)
@cluster_argument()
@click.argument("search", required=False, metavar="[SEARCH]")
@yes_option
@pass_context
def abort(context: Context, name: str, search: str | None, *, yes: bool) -> int:
    """Abort a search of this computer or of the master, from any terminal; nothing it has is lost.

    Nothing more is sent to the engines; the search can be resumed from its ledger.
    """
    from spotcluster.cluster.lifecycle import abort as aborting

    cluster = context.cluster(name)
    chosen = aborting.choose(cluster, search)
    kind, total = chosen["kind"], chosen["total"]
    output.confirm(f"Abort the {kind} on '{name}', {chosen['done']} of {total} done?", yes=yes)
    done = aborting.abort(cluster, chosen)
    output.out.print(
        output.Text(f"Aborted the {kind} on '{name}'; {done} of {total} evaluations are finished.")
    )
    if chosen.get("ledger"):
        path = shlex.quote(chosen["ledger"])
        output.out.print(output.Text(f"`spotcluster results {path}` shows what it has found."))
    return 0


def _session_with(context: Context, name: str) -> Session:
    """Return the session of the region that has something of the cluster `name`."""
    from spotcluster.aws import regions
    from spotcluster.cluster.lifecycle import terminate as end

    # A plugin of the config that is broken must not keep a cluster running.
    sessions = context.sessions(name)
    there = regions.first(sessions, lambda session: end.remains(session, name))
    if there:
        return there[0]
    known = (one for _, one in files.reached())
    raise NoSuchCluster([name], (session.region for session in sessions), known)
