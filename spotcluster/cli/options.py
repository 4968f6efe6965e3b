"""Options and arguments that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from spotcluster import wording
from spotcluster.cli.completion import names

_Command = TypeVar("_Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
yes_option = click.option("-y", "--yes", "-c", "--confirm", is_flag=True, help="Do not ask.")

key_option = click.option(
    "-k",
    "--keyname",
    metavar="KEY",
    shell_complete=names.keys,
    help="Key pair, a [key KEY] section.",
)


def cluster_argument(name: str = "name", **more: Any) -> Callable[[_Command], _Command]:
    """Return a decorator for an argument that names a cluster, or several."""
    return click.argument(name, shell_complete=names.clusters, **more)


def node_argument(name: str = "alias", **more: Any) -> Callable[[_Command], _Command]:
    """Return a decorator for an argument that names a node of the cluster, or several."""
    return click.argument(name, shell_complete=names.nodes, **more)


def job_argument(
    *, metavar: str = "[JOB]", required: bool = False
) -> Callable[[_Command], _Command]:
    """Return a decorator for an argument that is the number of a job of the cluster."""
    return click.argument(
        "number",
        metavar=metavar,
        required=required,
        type=click.IntRange(min=1),
        shell_complete=names.jobs,
    )


class _Usd(click.types.FloatParamType):
    """An amount of money; who writes decimals with a comma is told how they are written here."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, str) and (instead := wording.without_comma(value)):
            self.fail(f"'{value}' is not a number: write {instead}.", param, ctx)
        return float(super().convert(value, param, ctx))


USD = _Usd()
