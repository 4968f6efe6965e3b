"""StarCluster's short names of commands."""

from __future__ import annotations

import click

from spotcluster.cli import main


def test_every_short_name_leads_to_a_command_and_hides_none() -> None:
    context = click.Context(main.cli)
    for short, name in main._SHORT.items():
        found = main.cli.get_command(context, short)
        assert found is not None
        assert found.name == name
    assert not main._SHORT.keys() & set(main.cli.list_commands(context))
