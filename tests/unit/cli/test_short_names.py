"""StarCluster's short names of commands."""

from __future__ import annotations

import re

import click
import pytest

from spotcluster.cli import main, starcluster


def test_every_short_name_leads_to_a_command_and_hides_none() -> None:
    context = click.Context(main.cli)
    for short, name in main._SHORT.items():
        found = main.cli.get_command(context, short)
        assert found is not None
        assert found.name == name
    assert not main._SHORT.keys() & set(main.cli.list_commands(context))


def test_flag_of_starclusters_that_is_not_here_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands = main.cli.commands
    for name, flags in starcluster._INSTEAD.items():
        own = {word for one in commands[name].params for word in (*one.opts, *one.secondary_opts)}
        assert not own & flags.keys()
    assert main.run(["terminate", "-f", "mycluster"]) == 2
    said = capsys.readouterr().err  # the first half is click's, in whose versions it differs
    assert re.search(r"No such option:? '?-f'?\.? Plugins and nodes that fail keep no", said)
    assert main.run(["start", "--enable-queue", "mycluster"]) == 2
    assert "There is no SGE here" in capsys.readouterr().err
    assert main.run(["start", "--nothing", "mycluster"]) == 2


def test_every_command_and_group_shows_an_example() -> None:
    todo: list[click.Command] = [main.cli]
    while todo:
        one = todo.pop()
        assert "Example" in (one.epilog or ""), one.name
        if isinstance(one, click.Group):
            todo += one.commands.values()
