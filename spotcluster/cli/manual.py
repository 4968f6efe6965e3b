"""The manual page, of the same commands and helps as `--help` and the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import click

from spotcluster.cli.groups import Group

_FILES = (
    ("~/.spotcluster/config", "Templates of clusters; `spotcluster config init` makes one."),
    ("~/.spotcluster/logs", "What commands did, in detail: a file for each run."),
    ("SPOTCLUSTER_HOME", "In the environment: another folder in the place of ~/.spotcluster."),
)
_STATUSES = (
    ("0", "It is done."),
    ("1", "It failed, or a part of it did; what to do next is said."),
    ("2", "What was asked for cannot be: a wrong name, option or setting. Nothing was made."),
    ("130", "Ctrl-C."),
)


def page(group: Group, version: str, date: datetime) -> str:
    """Return the page in roff, for man.

    Parameters
    ----------
    group : Group
        The program's commands.
    version : str
    date : datetime
        The day that the page's foot shows.
    """
    name = "spotcluster"
    with click.Context(group, info_name=name, **group.context_settings) as context:
        lines = [
            f'.TH {name.upper()} 1 "{date:%Y-%m-%d}" "{name} {_text(version)}" "User Commands"',
            ".SH NAME",
            f"{name} \\- {_text(group.get_short_help_str(limit=1000).rstrip('.'))}",
            ".SH SYNOPSIS",
            f".B {name}",
            _text(" ".join(group.collect_usage_pieces(context))),
            ".SH DESCRIPTION",
            *_prose(group.help or ""),
            ".SH OPTIONS",
            *_options(group, context),
            ".SH COMMANDS",
        ]
        for title, names in group.sections.items():
            lines += [f".SS {_text(title)}"]
            for one in names:
                lines += _command(group.commands[one], context)
        lines += [".SH EXAMPLES", *_examples(group.epilog or "")]
    for title, rows in (("FILES", _FILES), ("EXIT STATUS", _STATUSES)):
        lines.append(f".SH {title}")
        for term, text in rows:
            lines += [".TP", f".B {_text(term)}", _text(text)]
    return "\n".join(lines) + "\n"


def _command(command: click.Command, parent: click.Context) -> Iterator[str]:
    if command.hidden:
        return
    with click.Context(command, info_name=command.name, parent=parent) as context:
        if isinstance(command, click.Group):
            for one in command.commands.values():
                yield from _command(one, context)
            return
        yield ".TP"
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        yield f".B {_text(usage)}"
        yield from _prose(command.help or "", within=True)
        if options := [*_options(command, context)]:
            yield from (".RS", *options, ".RE")


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for one in command.get_params(context):
        record = one.get_help_record(context) if isinstance(one, click.Option) else None
        if record is not None:
            flags, text = record
            yield from (".TP", f".B {_text(flags)}", _text(text))


def _examples(epilog: str) -> Iterator[str]:
    lines = [one for one in epilog.splitlines() if one.startswith("  ")]
    yield from (".nf", *map(_text, lines), ".fi")


def _prose(text: str, *, within: bool = False) -> Iterator[str]:
    """Yield paragraphs, but for marks of click's; those of an item stay in it."""
    for number, part in enumerate(re.split(r"\n\s*\n", text.replace("\b", "").strip())):
        if number:
            yield ".IP" if within else ".PP"
        yield _text(" ".join(part.split()))


def _text(text: str) -> str:
    """Return text of which nothing is taken for a request or an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text
