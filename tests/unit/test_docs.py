"""What README and docs show is what the program takes, and what can be made from it is."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import pkgutil
import re
import shlex
import sys
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import nbformat
import pytest

import spotcluster.search
from spotcluster import config, files, ssh
from spotcluster.api import jobs
from spotcluster.cli import starcluster
from spotcluster.cli.main import cli
from spotcluster.plugins import loader

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
NOTEBOOK = DOCS / "tutorial.ipynb"


def load(name: str) -> ModuleType:
    """Import a program of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


sys.path.insert(0, str(DOCS))  # its programs import each other by name
generated: Any = load("generated")


def texts() -> list[tuple[str, str]]:
    """Return every page as it is read on the site, by its name."""
    return [
        (str(page.relative_to(ROOT)), generated.fill(page.read_text(encoding="utf-8")))
        for page in PAGES
    ]


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for name, page in texts():
        pattern = rf"^( *)```{language}\n(.*?)^ *```"
        for indent, text in re.findall(pattern, page, re.DOTALL | re.MULTILINE):
            lines = [line.removeprefix(indent) for line in text.splitlines()]
            found.append((name, "\n".join(lines)))
    return found


def commands() -> list[str]:
    """Return every command line that is shown: in the pages, in the notebook, in the help."""
    shown = [text for _, text in blocks("console")]
    lines = [line[2:] for text in shown for line in text.splitlines() if line.startswith("$ ")]
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            lines += re.findall(r"^!(.*)$", cell.source, re.MULTILINE)
    return list(dict.fromkeys(line for line in lines if line.startswith("spotcluster ")))


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


def simple_commands(line: str) -> list[list[str]]:
    """Return the words of each of our commands in a line for the shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found = [list(words) for sign, words in groupby(lexer, key=set("&|<>;").issuperset) if not sign]
    return [words for words in found if words[0] == "spotcluster"]


@pytest.mark.parametrize("line", commands())
def test_command_in_the_docs_is_one_that_the_program_takes(line: str) -> None:
    for words in simple_commands(line):
        parse(cli, words, None)


def test_docs_show_commands() -> None:
    assert len(commands()) > 40


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_python_in_the_docs_compiles(page: str, text: str) -> None:
    compile(text, page, "exec")


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_what_python_in_the_docs_imports_is_there(page: str, text: str) -> None:
    imports = [
        one for one in ast.walk(ast.parse(text)) if isinstance(one, ast.Import | ast.ImportFrom)
    ]
    for one in imports:
        exec(ast.unparse(one), {})


def plugin_in(page: str) -> tuple[str, str]:
    """Return the code of the plugin that a page shows, and its section."""
    (code,) = [text for name, text in blocks("python") if name == page and "(Plugin)" in text]
    (section,) = [text for name, text in blocks("ini") if name == page and "swap.Swap" in text]
    return code, section


@pytest.fixture
def users_files(spotcluster_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the files that the pages' configs speak of: a plugin, and what is included."""
    monkeypatch.setenv("HOME", str(spotcluster_home))
    assert files.home() == spotcluster_home
    plugins = spotcluster_home / "plugins"
    plugins.mkdir(mode=0o700)
    (plugins / "swap.py").write_text(plugin_in("docs/howto/plugins.md")[0])
    common = spotcluster_home / ".spotcluster"
    common.mkdir(mode=0o700)
    (common / "common.ini").write_text("[key shared]\n")
    for folder, name, content in (
        ("project", "requirements.txt", "scikit-learn>=1.7\n"),
        ("project", "environment.yml", "dependencies: [python, pip: [scikit-learn>=1.7]]\n"),
        ("keys", "alice.pub", ssh.keys.generate("alice").public),
    ):
        (spotcluster_home / folder).mkdir(exist_ok=True)
        (spotcluster_home / folder / name).write_text(content)
    for path in (plugins / "swap.py", common / "common.ini"):
        path.chmod(0o600)
    return spotcluster_home


@pytest.mark.parametrize(("page", "text"), blocks("ini"))
def test_config_in_the_docs_loads(page: str, text: str, users_files: Path) -> None:
    config.load_text(text, page, path=users_files / "config")


def test_config_in_the_readme_loads() -> None:
    (text,) = [text for page, text in blocks("ini") if page == "README.md"]
    loaded = config.load_text(text, "README.md")
    assert [one.name for one in loaded.template("iptemplate").plugins] == [
        "pypackages",
        "ipcluster",
    ]


def test_first_search_of_the_readme_printed_no_more_than_that_it_had_begun() -> None:
    (code,) = [text for page, text in blocks("python") if page == "README.md"]
    lines = [line.partition("  #")[0] for line in code.splitlines()]
    assert lines.index("search.wait()") < lines.index("print(search)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


# --- what is made from the code -------------------------------------------------------------------


def test_programs_and_tests_that_the_docs_name_are_there() -> None:
    named = {
        (page.name, path)
        for page in PAGES
        for path in re.findall(
            r"(?<![.\w])(?:tests|benchmarks|spotcluster)/[\w/]+\.py", page.read_text()
        )
    }
    assert len(named) > 10
    assert not [(page, path) for page, path in named if not (ROOT / path).exists()]


def test_every_command_is_in_the_reference_with_its_options() -> None:
    page = generated.commands()
    for path, command in generated.walk(cli):
        section = page.partition(f"### {' '.join(path)}\n")[2].partition("\n### ")[0]
        assert section, path
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.opts[0] in section, (path, parameter.name)


def test_a_new_command_is_in_the_reference_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command(epilog="Example: spotcluster newly --now")
    @click.option("--now", is_flag=True, help="At once.")
    def newly(now: bool) -> None:
        """Do something new. And more."""

    monkeypatch.setitem(cli.commands, "newly", newly)
    page = generated.fill("before\n\n<!-- generated: commands -->\n\nafter")
    assert page.startswith("before\n")
    assert page.endswith("after")
    assert "| [`newly`](#newly) | Do something new |" in page
    assert "| `--now` | At once. |" in page
    assert "```console\n$ spotcluster newly --now\n```" in page


@pytest.mark.parametrize("section", generated.SECTIONS)
def test_every_key_of_the_config_says_what_it_means(section: str) -> None:
    page = generated.config().partition(f"## `[{section}]`\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert rows
    silent = [row[0] for row in rows if row[-1].strip(" |") == ""]
    assert silent == [], "describe these in the docstring of the section's class"


@pytest.mark.parametrize("path", loader.BUILT_IN)
def test_every_setting_of_a_plugin_says_what_it_means(path: str) -> None:
    assert [row[0] for row in generated.keys(loader.load_class(path)) if not row[3]] == []


def test_names_over_several_lines_are_all_described() -> None:
    class Several:
        """Something.

        Attributes
        ----------
        one, two,
        three : int
            Number of
            things.
        four
            Another.
        """

    described = generated.descriptions(Several)
    assert described == dict.fromkeys(("one", "two", "three"), "Number of things.") | {
        "four": "Another."
    }


def test_every_public_name_of_the_search_is_in_the_reference() -> None:
    page = generated.api()
    assert [name for name in spotcluster.search.__all__ if name not in page] == []


def test_every_part_that_a_page_asks_for_is_there() -> None:
    asked = {name for page in PAGES for name in generated.MARK.findall(page.read_text())}
    assert asked == set(generated.PARTS)


def test_every_short_name_and_refusal_is_on_the_page_for_those_who_know_starcluster() -> None:
    rows = {
        row.split("`")[1]: row for row in generated.PARTS["from_starcluster"]().splitlines()[2:]
    }
    names = {name for name in starcluster.COMMANDS if len(name) > 5} | set(
        starcluster.SHORT.values()
    )
    there = {row.rpartition("| ")[0].split("|")[2].strip(" `") for row in rows.values()} | set(rows)
    assert names - there - {"createimage"} == set()
    assert "| same |" in rows["start"]
    assert "`-x`, `--no-create`" in rows["start"]
    assert "| `keep` |" in rows["loadbalance"]


def test_site_has_a_place_for_every_page() -> None:
    index = (DOCS / "index.md").read_text()
    pages = {
        str(path.relative_to(DOCS).with_suffix("")) for path in (*DOCS.rglob("*.md"), NOTEBOOK)
    }
    assert pages - set(index.split()) == {"index", "howto/index"}


# --- the notebook ---------------------------------------------------------------------------------


def test_what_a_cell_shows_is_kept_without_colours_and_what_was_overwritten() -> None:
    plain = load("run_tutorial").plain
    assert plain("\x1b[1mname\x1b[0m  \r\n10%\r100%\n") == "name\n100%\n"


def test_output_that_came_in_pieces_is_one() -> None:
    pieces = [
        nbformat.v4.new_output("stream", name=name, text=text)
        for name, text in (("stdout", "a"), ("stdout", "b\n"), ("stderr", "c"), ("stdout", "d"))
    ]
    merged = load("run_tutorial").merged(pieces)
    assert [(one.name, one.text) for one in merged] == [
        ("stdout", "ab\n"),
        ("stderr", "c"),
        ("stdout", "d"),
    ]


def test_notebook_was_executed_from_the_first_cell_to_the_last() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), "run docs/run_tutorial.py"


def test_nothing_of_the_computer_that_executed_the_notebook_is_in_it() -> None:
    found = re.findall(r"(?<![\w-])/(?:home|root|Users|work)/\w+", NOTEBOOK.read_text())
    assert found == []


# --- the names of what commands do ----------------------------------------------------------------

FOR_A_TERMINAL = {
    *(
        "config init",
        "config edit",
        "completion install",
        "completion show",
        "dashboard",
        "demo",
        "help",
    )
}


def names_of_commands() -> list[tuple[str, str]]:
    """Return the rows of the table: commands, and the Python that does the same."""
    page = (DOCS / "howto" / "python.md").read_text()
    return re.findall(r"^\| (`.+?) \| `(.+?)` \|$", page, re.MULTILINE)


def test_everything_that_commands_do_has_a_name_in_python() -> None:
    told = " ".join(commands for commands, _ in names_of_commands())
    known = {" ".join(path) for path, _ in generated.walk(cli)} - FOR_A_TERMINAL
    assert {name for name in known if not re.search(rf"`{name}\b", told)} == set()


@pytest.mark.parametrize("code", [code for _, code in names_of_commands()])
def test_a_name_in_the_table_is_there_and_takes_what_is_shown(code: str) -> None:
    things = {"cluster": spotcluster.Cluster, "account": spotcluster.Account}
    expression = ast.parse(code, mode="eval").body
    called = expression.func if isinstance(expression, ast.Call) else expression
    path = ast.unparse(called).split(".")
    if path[0] == "cluster" and path[1] == "jobs":
        path, things = ["jobs", *path[2:]], {"jobs": jobs.Jobs}
    known: Any = things.get(path[0])
    owner = getattr(known, path[1]) if known else pkgutil.resolve_name(".".join(path))
    if not isinstance(expression, ast.Call):
        return
    given = [None] * (len(expression.args) + (path[0] != "spotcluster"))  # itself
    named = {keyword.arg: None for keyword in expression.keywords}
    inspect.signature(owner).bind(*given, **named)
