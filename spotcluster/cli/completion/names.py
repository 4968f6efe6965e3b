"""The names that arguments and options take, as far as this computer, EC2 or a master knows them.

Each function is what click calls for a parameter: with what has been typed, and its beginning.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from spotcluster.errors import SpotclusterError

if TYPE_CHECKING:
    from spotcluster.cli.completion.asking import Question
    from spotcluster.config import Config


def clusters(
    context: click.Context, parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Offer clusters: those that EC2 shows, and those that this computer has reached elsewhere."""
    from spotcluster.cli.completion import asking
    from spotcluster.files import reached

    region = context.find_root().params.get("region")
    told = asking.answer(_question(context)) or {}
    found = {name: place for place, there in told.items() for name in there}
    for place, name in reached():
        if place not in told and region in (None, place):
            found.setdefault(name, place)
    return _offered(found, begun, _given(context, parameter))


def nodes(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the nodes of the cluster that has been named."""
    from spotcluster.cli.completion import asking

    name = context.params.get("name")
    told = asking.answer(_question(context)) or {}
    found: dict[str, str] = {}
    for there in told.values():
        for cluster, aliases in there.items():
            if name in (None, cluster):  # an option may stand before the cluster's name
                found |= aliases
    return _offered(found, begun, _given(context, parameter))


def jobs(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the jobs of the cluster that has been named, the newest first."""
    from spotcluster.cli.completion import asking

    name = context.params.get("name")
    told = asking.answer(_question(context, jobs_of=name)) if name else None
    ordered = sorted(told or {}, key=int, reverse=True)
    return _offered({number: (told or {})[number] for number in ordered}, begun)


def templates(
    context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Offer the templates of the config."""
    config = _config(context)
    found = config.clusters.values() if config else ()
    return _offered(
        {one.name: f"{one.cluster_size} x {one.node_instance_type}" for one in found}, begun
    )


def plugins(
    context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Offer the plugins of the config."""
    config = _config(context)
    found = config.plugins if config else {}
    return _offered({name: one.setup_class for name, one in found.items()}, begun)


def keys(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the keys of the config."""
    config = _config(context)
    found = config.keys if config else {}
    return _offered({name: str(one.key_location) for name, one in found.items()}, begun)


def regions(
    _context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Offer the regions of EC2."""
    from spotcluster.aws.session import known_regions

    return _offered(dict.fromkeys(known_regions(), ""), begun)


def commands(
    context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """Offer the commands of the program."""
    group = context.find_root().command
    found = group.commands if isinstance(group, click.Group) else {}
    shown = {name: one.get_short_help_str() for name, one in found.items() if not one.hidden}
    return _offered(shown, begun)


def files(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Have the shell offer files of this computer."""
    return [CompletionItem(begun, type="file")]


def _offered(
    found: Mapping[str, str], begun: str, without: Iterable[str] = ()
) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=" ".join(what.split()) or None)
        for name, what in found.items()
        if name.startswith(begun) and name not in without
    ]


def _given(context: click.Context, parameter: click.Parameter) -> tuple[str, ...]:
    """Return what has been named before of an argument that takes several names."""
    value = context.params.get(parameter.name or "")
    return tuple(value) if parameter.nargs == -1 and value else ()


def _question(context: click.Context, *, jobs_of: str | None = None) -> Question:
    from spotcluster.cli.completion import asking

    said = context.find_root().params
    path = said.get("config_path")
    return asking.Question(str(path) if path else None, said.get("region"), jobs_of)


def _config(context: click.Context) -> Config | None:
    """Return what is right in the config; what is wrong there is said by other commands."""
    from spotcluster import config

    with contextlib.suppress(SpotclusterError, OSError):
        return config.examine(context.find_root().params.get("config_path"))[0]
    return None
