"""What README and docs show is what the program takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from spotcluster import config
from spotcluster.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        pattern = rf"^( *)```{language}\n(.*?)^ *```"
        for indent, text in re.findall(pattern, page.read_text(), re.DOTALL | re.MULTILINE):
            lines = [line.removeprefix(indent) for line in text.splitlines()]
            found.append((page.name, "\n".join(lines)))
    return found


def commands() -> list[str]:
    shown = [text for _, text in blocks("console")]
    lines = [line[2:] for text in shown for line in text.splitlines() if line.startswith("$ ")]
    return [line for line in lines if line.startswith("spotcluster ")]


def parse(group: click.Group, words: list[str], parent: click.Context | None) -> None:
    """Parse words as the program would, without doing anything."""
    name = words[0]
    context = group.make_context(name, words[1:], parent=parent)
    rest = [*context._protected_args, *context.args]
    if not rest:
        return
    found = group.get_command(context, rest[0])
    assert found is not None, f"there is no command {rest[0]}"
    if isinstance(found, click.Group):
        parse(found, rest, context)
    else:
        found.make_context(rest[0], rest[1:], parent=context)


@pytest.mark.parametrize("line", commands())
def test_command_in_the_docs_is_one_that_the_program_takes(line: str) -> None:
    words = shlex.split(re.sub(r"\s#.*", "", line))
    parse(cli, words, None)


def test_docs_show_commands() -> None:
    assert len(commands()) > 5


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_python_in_the_docs_compiles(page: str, text: str) -> None:
    compile(text, page, "exec")


def test_config_in_the_readme_loads() -> None:
    (text,) = [text for page, text in blocks("ini") if page == "README.md"]
    loaded = config.load_text(text, "README.md")
    assert [one.name for one in loaded.template("iptemplate").plugins] == [
        "pypackages",
        "ipcluster",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing
