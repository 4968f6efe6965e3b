"""The program: global options, the commands, and how every error ends."""

from __future__ import annotations

import errno
import gc
import io
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from spotcluster import __version__, errors
from spotcluster.cli import logfile, output, starcluster
from spotcluster.cli.commands import (
    clusters,
    config,
    dashboard,
    demo,
    endings,
    helping,
    iam_policy,
    images,
    jobs,
    keeping,
    keys,
    ledgers,
    listclusters,
    listings,
    localcloud,
    spothistory,
    status,
    volumes,
)
from spotcluster.cli.commands.nodes import execute, notebook, shell, ssh, transfers, tunnel
from spotcluster.cli.completion import names, shells
from spotcluster.cli.context import Context
from spotcluster.cli.groups import Group

_EPILOG = """\b
Examples:
  spotcluster demo                                  see it work, on this computer
  spotcluster createkey mykey -o ~/.ssh/mykey.rsa   make a key pair
  spotcluster start -c iptemplate -s 3 -b 0.5 mycluster
  spotcluster addnode -s 3 -b 0.5 mycluster         while the search runs
  spotcluster terminate mycluster                   end the bill
"""


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_COLLECTED_AFTER = 50_000  # objects more than before


class _Commands(Group):
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, by its StarCluster name too."""
        return super().get_command(ctx, starcluster.SHORT.get(cmd_name, cmd_name))

    def no_such(self, name: str, context: click.Context) -> click.UsageError:
        """Say of a command that others have what there is in its place, not what is spelt alike."""
        return starcluster.no_such_command(name, context) or super().no_such(name, context)


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="spotcluster")
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Config file; ~/.spotcluster/config by default.",
)
@click.option(
    "-r",
    "--region",
    metavar="REGION",
    shell_complete=names.regions,
    help="EC2 region; `local` is a cloud on this computer.",
)
@click.option("-d", "--debug", is_flag=True, help="Show every step, and tracebacks.")
@click.pass_context
def cli(context: click.Context, config_path: Path | None, region: str | None, debug: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Model search on EC2 spot clusters.

    One command gives an on-demand master and spot workers with Python packages, an ipyparallel
    controller and engines; nodes come and go while a search runs; one command ends the bill.
    """
    context.obj = Context(config_path, region, debug)
    if problem := logfile.set_up(context.invoked_subcommand or "help", to_terminal=debug):
        output.err.print(output.Text(f"This run has no log file: {problem}"))
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        helping.offer_template(context.obj)


_SECTIONS = {
    "Clusters": (
        clusters.start,
        clusters.addnode,
        clusters.removenode,
        keeping.keep,
        endings.stop,
        endings.autostop,
        clusters.restart,
        endings.terminate,
        endings.abort,
        listclusters.listclusters,
        listclusters.costs,
        status.status,
        dashboard.dashboard,
        clusters.runplugin,
    ),
    "On the nodes": (
        ssh.sshmaster,
        ssh.sshnode,
        execute.exec_,
        ssh.ssh_config,
        tunnel.tunnel,
        transfers.put,
        transfers.get,
        notebook.notebook,
        shell.shell,
        listings.showconsole,
    ),
    "Jobs": (jobs.run, jobs.logs, jobs.attach, jobs.jobs_, jobs.cancel, ledgers.results),
    "Volumes": (
        volumes.createvolume,
        volumes.listvolumes,
        volumes.resizevolume,
        volumes.removevolume,
    ),
    "Images": (images.ebsimage, images.listimages, images.removeimage),
    "What EC2 has": (
        spothistory.spothistory,
        listings.listinstances,
        listings.listspots,
        listings.listzones,
        listings.listregions,
        keys.createkey,
        keys.listkeypairs,
        keys.removekey,
    ),
    "Before and around": (
        demo.demo,
        localcloud.local,
        config.config_,
        iam_policy.iam_policy,
        helping.completion,
        helping.help_,
    ),
}
for title, commands in _SECTIONS.items():
    cli.add_section(title, commands)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 the command was wrong, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack a letter that a node has
            stream.reconfigure(errors="replace")
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    # EC2's answer about a thousand nodes is half a million objects, none of them garbage: to look
    # through them after each 700 took as long as to read them.
    gc.set_threshold(_COLLECTED_AFTER)
    if instruction := os.environ.get(shells.VARIABLE):
        return shells.answer(cli, instruction)
    debug = False
    try:
        with cli.make_context(
            "spotcluster", list(sys.argv[1:] if arguments is None else arguments)
        ) as context:
            debug = bool(context.params.get("debug"))
            result: Any = cli.invoke(context)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        output.wrong(starcluster.with_hint(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        output.error("Interrupted.")
        return 130
    except BrokenPipeError:  # the reader has gone, as in `listclusters | head`
        sys.stderr.close()
        return 1
    except errors.SpotclusterError as error:
        output.failure(error, logfile.story(error), debug=debug)
        return error.exit_status
    except Exception as error:  # noqa: BLE001 - the last net: a user never sees a traceback
        logfile.exception(error)
        problem = _of_this_computer(error)
        if problem is None:
            output.unforeseen(error, logfile.path(), debug=debug)
            return 1
        output.failure(problem, logfile.path(), debug=debug)
        return problem.exit_status


def _of_this_computer(error: Exception) -> errors.SpotclusterError | None:
    """Return what is wrong with the user's computer, None for what is a bug of ours."""
    if isinstance(error, MemoryError):
        return errors.SpotclusterError(
            "This computer has no memory left for it.", "End other programs, then repeat."
        )
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("spotcluster"):
        return errors.SpotclusterError(
            f"The Python package of the module '{error.name}' is not installed here.",
            "Install spotcluster anew, into the environment that this command is of.",
        )
    if not isinstance(error, OSError):
        return None
    why = error.strerror or str(error) or type(error).__name__
    if error.errno in _DISK:
        where = f": {error.filename}" if error.filename else ""
        return errors.SpotclusterError(
            f"This computer cannot write what it has to keep: {why}{where}.",
            "Make room, or name a folder that can be written to with SPOTCLUSTER_HOME.",
        )
    if error.filename is None:
        return errors.SpotclusterError(
            f"This computer's system refused something: {why}.",
            "Look whether it has room, memory and a network, then repeat.",
        )
    path = os.fsdecode(error.filename) if not isinstance(error.filename, int) else error.filename
    return errors.SpotclusterError(
        f"This computer cannot use {path}: {why}.",
        f"`ls -ld {shlex.quote(str(path))}` shows what is there; SPOTCLUSTER_HOME names another"
        " folder for what spotcluster keeps.",
    )


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
