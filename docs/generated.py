"""The parts of the reference that are made from the code, so that they cannot differ from it.

A page says ``<!-- generated: NAME -->`` where a part belongs; the site's build puts it there
(`conf.py`). Usage: python docs/generated.py NAME, which prints one of `PARTS`.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import click
import from_starcluster
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

import spotcluster.search
from spotcluster import errors
from spotcluster.cli.main import cli
from spotcluster.config import settings, template
from spotcluster.plugins import loader
from spotcluster.plugins.base import Plugin

MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def fill(text: str) -> str:
    """Return a page with its generated parts in the places that ask for them."""
    return MARK.sub(lambda found: PARTS[found[1]](), text)


# --- commands -------------------------------------------------------------------------------------


def commands() -> str:
    """Return the global options, and every command with its options and examples."""
    with click.Context(cli, info_name="spotcluster", **cli.context_settings) as context:
        parts = ["## Global options\n", _options(cli, context)]
        parts += ["\n## All commands\n", overview(page="")]
        return "\n".join([*parts, *(_command(*one, context) for one in walk(cli))])


def overview(page: str = "reference/commands.md") -> str:
    """Return a table of all commands, with links to where they are on a page."""
    rows = [
        f"| [`{' '.join(path)}`]({page}#{'-'.join(path)}) | {_first_sentence(command.help or '')} |"
        for path, command in walk(cli)
    ]
    return "\n".join(["| command | what it does |", "| --- | --- |", *rows])


def walk(group: click.Group, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command that does something, with the words that call it."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from walk(command, *before, name)
        else:
            yield (*before, name), command


def _command(path: tuple[str, ...], command: click.Command, parent: click.Context) -> str:
    with click.Context(command, parent, " ".join(path)) as context:
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        parts = [
            f"\n({'-'.join(path)})=",
            f"### {' '.join(path)}\n",
            f"```text\n{usage}\n```\n",
            _prose(command.help or ""),
            "",
            _options(command, context),
        ]
        if examples := [line for line in _lines(command.epilog or "") if "spotcluster" in line]:
            parts += ["", "```console", *(_example(line) for line in examples), "```"]
    return "\n".join(parts)


def _example(line: str) -> str:
    """Return ``COMMAND   what it does`` of a help as a line for the shell."""
    command, _, what = re.sub(r"^Example: ", "", line).strip().partition("   ")
    return f"$ {command}" + (f"  # {what.strip()}" if what else "")


def _options(command: click.Command, context: click.Context) -> str:
    rows = []
    for parameter in command.get_params(context):
        if (
            not isinstance(parameter, click.Option)
            or (record := parameter.get_help_record(context)) is None
        ):
            continue
        flags, text = record
        rows.append(f"| {_code(flags)} | {_cell(_prose(text))} |")
    return "\n".join(["| option | |", "| --- | --- |", *rows]) if rows else ""


# --- config ---------------------------------------------------------------------------------------

SECTIONS: dict[str, type[BaseModel]] = {
    "global": settings.GlobalSettings,
    "aws info": settings.AwsSettings,
    "key NAME": settings.KeySettings,
    "cluster NAME": template.Template,
    "volume NAME": settings.Volume,
    "permission NAME": settings.Permission,
}
_ACTED_ON_BEFORE = {
    "global": [("INCLUDE", "files", "", "Other config files, read after this one.")],
    "cluster NAME": [
        ("EXTENDS", "names", "", "Templates whose settings hold where this one says nothing.")
    ],
}
_DEFAULT_MADE_WHEN_READ = {"KEY_LOCATION"}
_NOT_WRITTEN = {"cluster NAME": {"NAME", "KEY_LOCATION"}}


def config() -> str:
    """Return every section of the config file with its keys."""
    parts = []
    for title, model in SECTIONS.items():
        rows = list(_ACTED_ON_BEFORE.get(title, ()))
        rows += [row for row in keys(model) if row[0] not in _NOT_WRITTEN.get(title, {"NAME"})]
        parts += [f"\n## `[{title}]`\n", _table("key", rows)]
    return "\n".join(parts)


def keys(model: type[BaseModel]) -> list[tuple[str, str, str, str]]:
    """Return name, type, default and description of each key that a model takes."""
    described = descriptions(model)
    return [
        (
            (field.alias or name).upper(),
            kind(field),
            "" if name.upper() in _DEFAULT_MADE_WHEN_READ else _default(field),
            field.description or described.get(name, ""),
        )
        for name, field in model.model_fields.items()
    ]


def descriptions(model: type) -> dict[str, str]:
    """Return what the docstrings of a class and its parents say of each field.

    They are numpydoc: a section called Parameters or Attributes has ``name, name : type`` and below
    it the description.
    """
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        text = inspect.cleandoc(one.__dict__.get("__doc__") or "")
        for section in re.finditer(
            r"^(?:Parameters|Attributes)\n-+\n(.*?)(?=^\S[^\n]*\n---|\Z)",
            text,
            re.MULTILINE | re.DOTALL,
        ):
            entries = re.sub(r",\n(?=\S)", ", ", section[1])  # names over several lines
            for entry in re.finditer(
                r"^(\w[\w, ]*?)(?: : [^\n]*)?\n((?:    [^\n]*(?:\n|\Z)|\n)*)", entries, re.MULTILINE
            ):
                for name in re.split(r"[ ,]+", entry[1].strip()):
                    found[name] = " ".join(textwrap.dedent(entry[2]).split())
    return found


def kind(field: FieldInfo) -> str:
    """Return what is to be written for a field, in a word or two."""
    return _kind(field.annotation)


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(one) for one in arguments if one is not type(None)))
    if str(origin) in ("typing.Literal", "Literal"):
        return ", ".join(f"`{one}`" for one in arguments)
    if origin is tuple:
        return "list"
    if hasattr(annotation, "__metadata__"):
        return _kind(annotation.__origin__)
    words = {
        bool: "True or False",
        int: "number",
        float: "number",
        str: "text",
        SecretStr: "secret",
    }
    return words.get(annotation, "path" if "Path" in str(annotation) else "text")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "" if value is None or value in ((), {}, "") else f"`{value}`"


# --- plugins --------------------------------------------------------------------------------------


def plugins() -> str:
    """Return the plugins that come with spotcluster, with their settings."""
    parts = []
    for path in loader.BUILT_IN:
        plugin = loader.load_class(path)
        summary = (inspect.getdoc(plugin) or "").partition("\n\n")[0]
        parts += [f"\n## {plugin.__name__}\n", f"`SETUP_CLASS = {path}`\n", _prose(summary), ""]
        own = [row for row in keys(plugin) if row[0].lower() not in Plugin.model_fields]
        if own:
            parts.append(_table("setting", own))
    return "\n".join(parts)


# --- Python ---------------------------------------------------------------------------------------


def api() -> str:
    """Return the directives by which Sphinx documents the public names of `spotcluster.search`."""
    parts = []
    for name in spotcluster.search.__all__:
        value = getattr(spotcluster.search, name)
        if value.__name__ != name:  # a second name for the same thing
            parts.append(f"`{name}` is another name of `{value.__name__}`.\n")
            continue
        kind_of = "class" if inspect.isclass(value) else "function"
        options = "   :members:\n   :inherited-members: BaseSearchCV, BaseEstimator, object\n" * (
            name == "Search"
        )
        options = options or "   :members:\n" * (kind_of == "class")
        parts.append(
            f"```{{eval-rst}}\n.. auto{kind_of}:: spotcluster.search.{name}\n{options}```\n"
        )
    return "\n".join(parts)


def searches() -> str:
    """Return a table of the kinds of searches."""
    kinds = [getattr(spotcluster.search, name) for name in spotcluster.search.__all__]
    rows = [
        f"| [`{one.__name__}`](reference/python.md#spotcluster-search) |"
        f" {_first_sentence(inspect.getdoc(one) or '')} |"
        for one in dict.fromkeys(kinds)
        if inspect.isclass(one)
        and issubclass(one, spotcluster.search.Search)
        and one is not spotcluster.search.Search
    ]
    return "\n".join(["| class | what it tries |", "| --- | --- |", *rows])


def failures() -> str:
    """Return the tree of errors, as `spotcluster.errors` draws it, and their exit statuses."""
    drawn = inspect.cleandoc(errors.__doc__ or "")
    tree = "\n".join(line for line in drawn.splitlines() if line.startswith("    "))
    return f"```text\n{textwrap.dedent(tree)}\n```"


# --- text -----------------------------------------------------------------------------------------


def _table(first: str, rows: list[tuple[str, str, str, str]]) -> str:
    head = [f"| {first} | type | default | |", "| --- | --- | --- | --- |"]
    return "\n".join(
        head
        + [
            f"| `{name}` | {what} | {usual} | {_cell(_prose(text))} |"
            for name, what, usual, text in rows
        ]
    )


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() not in ("", "\b")]


def _prose(text: str) -> str:
    """Return a docstring as Markdown: its ``code`` and `names` are both code."""
    text = re.sub(r"``(.+?)``", r"`\1`", inspect.cleandoc(text).replace("\b\n", ""))
    return re.sub(r"<(?=[a-zA-Z/])", r"\\<", text)


def _first_sentence(text: str) -> str:
    return _cell(_prose(text).partition("\n\n")[0]).partition(". ")[0].removesuffix(".")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


# --- what differs from others on purpose ----------------------------------------------------------

_OTHERS = Path(__file__).parents[1] / "tests" / "others"


def differences() -> str:
    """Return, for each library whose own tests are run here, which of them fail on purpose."""
    parts = []
    for part, library in {
        "sklearn": "scikit-learn's searches",
        "ipyparallel": "ipyparallel's clients and views",
        "moto": "moto's EC2, on the local cloud",
    }.items():
        reasons: dict[str, list[str]] = {}
        for line in (_OTHERS / f"{part}_differences.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                test, reason = line.split(": ", 1)
                reasons.setdefault(reason, []).append(f"`{test.replace('::', '.')}`")
        rows = [
            f"| {reason[0].upper()}{reason[1:]}. | {'<br>'.join(tests)} |"
            for reason, tests in sorted(reasons.items())
        ]
        head = [f"## {library}", "", f"`.ci/run {part}` runs them.", ""]
        parts += [*head, "| what differs | tests |", "| --- | --- |", *rows, ""]
    return "\n".join(parts)


PARTS: dict[str, Callable[[], str]] = {
    "overview": overview,
    "commands": commands,
    "config": config,
    "plugins": plugins,
    "api": api,
    "searches": searches,
    "errors": failures,
    "differences": differences,
    "from_starcluster": from_starcluster.commands,
    "starcluster_keys": from_starcluster.keys,
}


if __name__ == "__main__":
    sys.stdout.write(PARTS[sys.argv[1]]() + "\n")
