"""The manual page."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

import click
import pytest
from click.testing import CliRunner

from spotcluster.cli import manual
from spotcluster.cli.main import cli


@pytest.fixture(scope="module")
def page() -> str:
    return manual.page(cli, "1.2.3", datetime(2026, 11, 28, tzinfo=UTC))


def commands(group: click.Group, *before: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)
        elif not command.hidden:
            yield " ".join([*before, name]), command


def test_every_command_is_in_it_with_every_option(page: str) -> None:
    for name, command in commands(cli):
        begin = page.index(f".B spotcluster {name} ".replace("-", "\\-"))
        end = page.find(".B spotcluster ", begin + 1)
        part = page[begin : end if end > 0 else None].replace("\\-", "-")
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.opts[0] in part, (name, parameter.opts)


def test_nothing_of_a_help_is_taken_for_a_request_of_roff() -> None:
    helped = click.Command("odd", help=".so /etc/passwd\n\n'br is \\n here, and a-b")
    group = type(cli)("spotcluster", help="A program.", commands={"odd": helped})
    group.add_section("Odd", [helped])
    said = manual.page(group, "1", datetime(2026, 11, 28, tzinfo=UTC)).splitlines()
    assert "\\&.so /etc/passwd" in said
    assert "\\&'br is \\en here, and a\\-b" in said


def test_man_shows_it_without_a_warning(page: str) -> None:
    if not shutil.which("groff"):
        pytest.skip("needs groff")
    done = subprocess.run(
        ["groff", "-ww", "-man", "-Tascii"], input=page, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
    assert "2026-11-28" in shown
    assert "spotcluster terminate" in shown
    assert "EXIT STATUS" in shown


def test_help_prints_it() -> None:
    done = CliRunner().invoke(cli, ["help", "man"])
    assert done.exit_code == 0
    assert done.output.startswith(".TH SPOTCLUSTER 1 ")
