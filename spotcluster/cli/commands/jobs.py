"""run, logs, attach, jobs, cancel: programs on the master that outlive our connection."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click

from spotcluster import wording
from spotcluster.cli import output
from spotcluster.cli.completion import names
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.interrupts import to_go_on
from spotcluster.cli.options import cluster_argument, job_argument, json_option

if TYPE_CHECKING:
    from spotcluster.cluster.on_master.jobs import Job, Jobs

_REST = {"ignore_unknown_options": True, "allow_interspersed_args": False}
_ATTACHED = 20
"""How many lines `attach` shows of what was there before."""


@click.command(
    context_settings=_REST,
    epilog="""\b
Examples:
  spotcluster run mycluster search.py --folds 5     copy the script and run it
  spotcluster run mycluster project/                copy the folder, run its main.py
  spotcluster run mycluster project search.py -n 3  copy the folder, run a script in it
  spotcluster run mycluster . -- python -m search   copy this folder, run a command in it
  spotcluster run -D mycluster search.py            start it and come back at once
\b
A job runs as the cluster user, with the cluster's Python and packages, in a folder of its own:
~/jobs/N on the master. There, ipyparallel.Client() and spotcluster.connect() find the cluster.
The exit status is that of the job, 128 + n if signal n ended it.
""",
)
@click.option(
    "-D", "--detach", is_flag=True, help="Do not follow it: print its number and come back."
)
@cluster_argument()
@click.argument(
    "words",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[--] SCRIPT|FOLDER [COMMAND] [ARGS]...",
    shell_complete=names.files,
)
@pass_context
def run(context: Context, name: str, *, words: tuple[str, ...], detach: bool) -> int:
    """Copy a script or a folder to the master and run it there, whatever becomes of this computer.

    Its output is shown as it comes. Ctrl-C, a closed lid or a lost network leave it running:
    `attach` comes back to it.
    """
    from spotcluster.cluster.on_master import bundle

    given = bundle.of(words)
    jobs = _jobs(context, name)
    with to_go_on(f"`spotcluster jobs {name}` shows whether it has begun."):
        job = jobs.submit(given)
    where = _Words(context, name, job)
    if detach:
        output.err.print(output.Text(f"Job {job.id} runs on '{name}'; {where.attach} follows it."))
        click.echo(job.id)
        return 0
    output.err.print(output.Text(f"Job {job.id} runs on '{name}'; Ctrl-C leaves it running."))
    return _follow(jobs, where)


@click.command(
    epilog="""\b
Examples:
  spotcluster attach mycluster      the newest job
  spotcluster attach mycluster 3
"""
)
@cluster_argument()
@job_argument()
@pass_context
def attach(context: Context, name: str, *, number: int | None) -> int:
    """Follow a job again until it ends, and end with its exit status.

    The newest JOB unless its number is given. Ctrl-C leaves it running.
    """
    jobs = _jobs(context, name)
    where = _Words(context, name, jobs.get(number))
    return _follow(jobs, where, lines=_ATTACHED)


@click.command(
    epilog="""\b
Examples:
  spotcluster logs mycluster                 all output of the newest job
  spotcluster logs mycluster 3 > job3.txt
  spotcluster logs -n 50 -f mycluster 3      the last 50 lines, and what comes
"""
)
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=1), metavar="N", help="Begin N lines before the end."
)
@cluster_argument()
@job_argument()
@pass_context
def logs(
    context: Context, name: str, *, number: int | None, follow: bool, lines: int | None
) -> int:
    """Print what a job has printed, on either of its streams, in the order in which it came.

    The newest JOB unless its number is given.
    """
    jobs = _jobs(context, name)
    where = _Words(context, name, jobs.get(number))
    if follow:
        _follow(jobs, where, lines=lines)
        return 0
    jobs.follow(where.job.id, _write, lines=lines, on=False)
    return 0


@click.command(name="jobs", epilog="Example: spotcluster jobs mycluster --json")
@json_option
@cluster_argument()
@pass_context
def jobs_(context: Context, name: str, *, as_json: bool) -> None:
    """List the jobs of a cluster: those that run and those that have ended."""
    jobs = _jobs(context, name)
    found = jobs.all()
    if as_json:
        output.document([_plain(job) for job in found])
    elif not found:
        output.err.print(output.Text(f"'{name}' has had no job; `spotcluster run` runs one."))
    else:
        columns = ("job", "state", "started", "duration", "status", "command")
        output.table("", columns, [_row(job) for job in found])


@click.command(
    epilog="""\b
Examples:
  spotcluster cancel mycluster 3
  spotcluster cancel --grace 60 mycluster 3     a minute to write down what it has
"""
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Time that it has to end by itself after TERM; then it gets KILL.",
)
@cluster_argument()
@job_argument(metavar="JOB", required=True)
@pass_context
def cancel(context: Context, name: str, *, number: int, grace: float) -> int:
    """End a job and every process that it has started."""
    jobs = _jobs(context, name)
    before = jobs.get(number)
    if before.ended is not None:
        output.out.print(output.Text(f"Job {number} had ended already: {_how(before)}."))
        return 0
    job = jobs.cancel(number, grace=grace)
    output.out.print(output.Text(f"Job {number} has ended: {_how(job)}."))
    return 0


class _Words:
    """The commands that a user may need next."""

    def __init__(self, context: Context, name: str, job: Job) -> None:
        self.job = job
        self._region = f"-r {context.region} " if context.region else ""
        self._rest = f"{name} {job.id}"
        self._name = name

    @property
    def attach(self) -> str:
        return f"`spotcluster {self._region}attach {self._rest}`"

    @property
    def cancel(self) -> str:
        return f"`spotcluster {self._region}cancel {self._rest}`"

    def get(self, user: str | None) -> str:
        whose = f"-u {user} " if user else ""
        return f"`spotcluster {self._region}get {whose}{self._name} {self.job.folder} .`"


def _jobs(context: Context, name: str) -> Jobs:
    from spotcluster.cluster.on_master.jobs import Jobs

    return Jobs(context.cluster(name, output.Notes()))


def _follow(jobs: Jobs, where: _Words, *, lines: int | None = None) -> int:
    """Show a job's output to its end; return its exit status."""
    from spotcluster.errors import ConnectionFailed

    number = where.job.id
    try:
        job = jobs.follow(number, _write, lines=lines, on=True)
    except KeyboardInterrupt:
        output.err.print(
            output.Text(
                f"\nJob {number} goes on. {where.attach} follows it again, {where.cancel} ends it."
            )
        )
        return 130
    except ConnectionFailed as error:
        error.hint = f"Job {number} goes on as long as the master runs; {where.attach} follows it."
        raise
    if job.state == "new":
        output.err.print(
            output.Text(f"Job {number} has not begun: it is being copied, or was given up.")
        )
        return 1
    output.err.print(output.Text(f"Job {number} has ended: {_how(job)}."))
    output.err.print(output.Text(f"{where.get(jobs.user)} fetches its folder."))
    return job.exit_status


def _write(piece: bytes) -> None:
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _how(job: Job) -> str:
    took = "" if job.duration is None else f" after {wording.duration(job.duration, tenths=True)}"
    if job.state == "lost":
        return f"lost{took}, since {job.reason}"
    status = "" if job.status is None else f" with status {job.status}"
    return f"{job.state}{status}{took}"


def _row(job: Job) -> tuple[str, ...]:
    import shlex

    started = "" if job.started is None else f"{datetime.fromtimestamp(job.started):%m-%d %H:%M:%S}"
    took = "" if job.duration is None else wording.duration(job.duration, tenths=True)
    status = "" if job.status is None else str(job.status)
    return str(job.id), job.state, started, took, status, shlex.join(job.command)


def _plain(job: Job) -> dict[str, object]:
    found = asdict(job)
    del found["now"]
    for name in ("created", "started", "ended"):
        if found[name] is not None:
            found[name] = datetime.fromtimestamp(found[name]).astimezone().isoformat()
    return {**found, "command": list(job.command), "duration": job.duration, "folder": job.folder}
