"""StarCluster's short names of commands."""

from __future__ import annotations

import re

import click
import pytest

from spotcluster.cli import main, starcluster


def test_every_short_name_leads_to_a_command_and_hides_none() -> None:
    context = click.Context(main.cli)
    for short, name in starcluster.SHORT.items():
        found = main.cli.get_command(context, short)
        assert found is not None
        assert found.name == name
    assert not starcluster.SHORT.keys() & set(main.cli.list_commands(context))


def test_flag_of_starclusters_that_is_not_here_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands = main.cli.commands
    for name, flags in starcluster.OPTIONS.items():
        own = {word for one in commands[name].params for word in (*one.opts, *one.secondary_opts)}
        assert not own & flags.keys()
    assert main.run(["terminate", "-f", "mycluster"]) == 2
    said = capsys.readouterr().err  # the first half is click's, in whose versions it differs
    assert re.search(r"No such option:? '?-f'?\.? Plugins and nodes that fail keep no", said)
    assert main.run(["start", "--enable-queue", "mycluster"]) == 2
    assert "There is no SGE here" in capsys.readouterr().err
    assert main.run(["start", "--nothing", "mycluster"]) == 2


def test_command_of_starclusters_that_is_not_here_says_which_of_ours_does_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is spelt alike does another thing: `removenode` was suggested for `removeimage`."""
    own = {*main.cli.list_commands(click.Context(main.cli)), *starcluster.SHORT}
    assert not own & starcluster.COMMANDS.keys()
    for name, hint in starcluster.COMMANDS.items():
        for words in ([name, "x"], ["help", name]):
            assert main.run(words) == 2
            said = " ".join(capsys.readouterr().err.split())
            assert hint in said
            assert "Did you mean" not in said
        for ours in re.findall(r"`spotcluster ([\w-]+)", hint):
            assert ours in own, hint


@pytest.mark.parametrize("words", [["ssh"], ["ssh", "x"], ["help", "ssh"]])
def test_ssh_was_taken_for_sshnode_only(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(words) == 2
    assert "Did you mean `sshmaster` or `sshnode`?" in capsys.readouterr().err


def test_commands_of_other_programs_lead_to_ours() -> None:
    own = set(main.cli.list_commands(click.Context(main.cli)))
    assert not starcluster.OTHERS.keys() & {*own, *starcluster.SHORT, *starcluster.COMMANDS}
    assert {name for names in starcluster.OTHERS.values() for name in names} <= own


def test_help_of_a_command_says_its_short_name(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["help", "loadbalance"], ["help", "keep"]):
        assert main.run(words) == 0
        said = capsys.readouterr().out
        assert "spotcluster keep" in said
        assert "bal, loadbalance" in said


def test_every_command_and_group_shows_an_example() -> None:
    todo: list[click.Command] = [main.cli]
    while todo:
        one = todo.pop()
        assert "Example" in (one.epilog or ""), one.name
        if isinstance(one, click.Group):
            todo += one.commands.values()
