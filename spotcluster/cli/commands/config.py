"""config init, config show, config check, config edit."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from spotcluster import files, wording
from spotcluster.cli import editing, first_config, output
from spotcluster.cli.completion import names
from spotcluster.cli.context import Context, pass_context
from spotcluster.cli.groups import Group
from spotcluster.cli.options import USD, json_option
from spotcluster.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from spotcluster.config import Config, Template
    from spotcluster.config.explained import Setting
    from spotcluster.config.origins import Origin
    from spotcluster.config.problems import Problem


@click.group(
    "config",
    cls=Group,
    epilog="""\b
Examples:
  spotcluster config init
  spotcluster config check
  spotcluster config show iptemplate
  spotcluster config edit
""",
)
def config_() -> None:
    """Make, show, check or edit the config file."""


@config_.command(
    epilog="""\b
Examples:
  spotcluster config init
  spotcluster -r us-east-1 config init -i c5.2xlarge -k mykey -s 3
"""
)
@click.option("-i", "--node-instance-type", "kind", metavar="TYPE", help="Type of the nodes.")
@click.option("-k", "--keyname", "key", metavar="KEY", help="Key pair; it may be made later.")
@click.option(
    "-K",
    "--key-location",
    "location",
    metavar="FILE",
    help="Its private key, where it is or will be.",
)
@click.option("-s", "--cluster-size", "size", metavar="N", help="Nodes, the master included.")
@pass_context
def init(
    context: Context,
    *,
    kind: str | None,
    key: str | None,
    location: str | None,
    size: str | None,
) -> None:
    """Write a first config file: asks for region, type, key and size, and shows what they cost.

    What a flag says is not asked; without a terminal nothing is, and what no flag says is as usual.
    A config file that is there stays as it is.
    """
    path = files.expand(context.config_path or files.config_file())
    given = first_config.Given(context.region, kind, key, location, size)
    first_config.show(first_config.write(path, given))


@config_.command(
    epilog="""\b
Examples:
  spotcluster config show
  spotcluster config show -s 9 -b 0.5 iptemplate    what `start` with these flags goes by
"""
)
@click.argument("name", required=False, metavar="[TEMPLATE]", shell_complete=names.templates)
@click.option("-s", "--cluster-size", type=int, help="As for start.")
@click.option("-b", "--bid", "spot_bid", type=USD, metavar="USD", help="As for start.")
@click.option("--force-spot-master/--no-spot-master", default=None, help="As for start.")
@click.option("-k", "--keyname", metavar="KEY", shell_complete=names.keys, help="As for start.")
@click.option("-n", "--node-image-id", metavar="AMI", help="As for start.")
@click.option("-i", "--node-instance-type", metavar="TYPE", help="As for start.")
@click.option("-I", "--master-instance-type", metavar="TYPE", help="As for start.")
@click.option("-a", "--availability-zone", metavar="ZONE", help="As for start.")
@json_option
@pass_context
def show(
    context: Context,
    /,
    name: str | None,
    *,
    cluster_size: int | None,
    spot_bid: float | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Show a template as `start` goes by it, and where each value comes from."""
    from spotcluster.cluster.secrets import without_secrets
    from spotcluster.config import explained

    config = context.config(check_plugins=True)
    chosen = config.template(name)
    given = {"cluster_size": cluster_size, "spot_bid": spot_bid, **flags}
    if any(value is not None for value in given.values()):
        chosen = chosen.with_overrides(size=cluster_size, bid=spot_bid, **flags)
    chosen = without_secrets(config.with_key(chosen))
    settings = explained.explain(config, chosen, given, _region(context, config, chosen))
    if as_json:
        output.document(
            {
                "template": chosen.name,
                "files": list(config.files),
                "settings": [_as_json(one) for one in settings],
            }
        )
        return
    output.out.print(f"{_files(config)}\n")
    for section, found in groupby(settings, key=lambda one: one.section):
        rows = [(one.key, one.text, str(one.origin or "default")) for one in found]
        output.table(f"[{section}]", ("key", "value", "from"), rows)
        output.out.print()


@config_.command(epilog="Example: spotcluster config check && spotcluster start mycluster")
@json_option
@pass_context
def check(context: Context, *, as_json: bool) -> int:
    """Check the whole config: files, templates, plugins; list every problem at once."""
    from spotcluster import config as configs

    config, problems = configs.examine(context.config_path)
    problems = [*problems, *_unknown_regions(config, {str(one) for one in problems})]
    notes = _notes(config)
    if as_json:
        output.document(
            {
                "files": list(config.files),
                "templates": list(config.clusters),
                "problems": [_problem_as_json(one) for one in problems],
                "plugins": configs.installed_plugins(),
                "notes": notes,
            }
        )
        return 2 if problems else 0
    if problems:
        number = "One problem." if len(problems) == 1 else f"{len(problems)} problems."
        hint = configs.hint(files.expand(context.config_path or files.config_file()))
        raise ConfigError([str(one) for one in problems], f"{number} {hint}")
    output.out.print(f"{_files(config)}: nothing is wrong.")
    output.out.print(f"Templates: {wording.listed(config.clusters)}")
    if config.incomplete:
        listed = ", ".join(config.incomplete)
        output.out.print(f"Only for others to extend: {listed}")
    if installed := configs.installed_plugins():
        listed = ", ".join(f"{name} ({where})" for name, where in sorted(installed.items()))
        output.out.print(f"Plugins of installed packages: {listed}")
    for note in notes:
        output.out.print(note)
    return 0


@config_.command(epilog="Example: EDITOR=nano spotcluster config edit")
@pass_context
def edit(context: Context) -> None:
    """Edit the config in $VISUAL or $EDITOR; it is checked before it takes the file's place."""
    path = files.expand(context.config_path or files.config_file())
    output.out.print(editing.edit(path))


def _files(config: Config) -> str:
    return ", ".join(config.files) or "There is no config file"


def _region(context: Context, config: Config, template: Template) -> tuple[str, Origin | None]:
    """Return the region where `start` would go, and where that comes from; None by default."""
    from spotcluster.cluster import lookup
    from spotcluster.config.origins import Origin

    if context.region:
        return context.region, Origin("--region", 0, "")
    if template.region:
        own = config.origins.get(f"cluster {template.name}", {}).get("region")
        return template.region, own or config.origins.get("aws info", {}).get("aws_region_name")
    region, named = lookup.default_region(config), lookup.profile_region(config)
    return region, Origin("the AWS profile", 0, "") if named == region else None


def _unknown_regions(config: Config, said: set[str]) -> list[Problem]:
    """Find regions that look like one and do not exist: AWS's own list knows them."""
    from spotcluster.aws import session
    from spotcluster.config.problems import Problem

    found = []
    for name, template in config.clusters.items():
        places = config.origins.get(f"cluster {name}", {})
        origin = places.get("region") or config.origins.get("aws info", {}).get("aws_region_name")
        if not template.region or origin is None:
            continue
        try:
            session.check_region(template.region)
        except UsageError as error:
            key = "region" if "region" in places else "aws_region_name"
            problem = Problem(origin.source, origin.line, str(error), origin.section, key)
            if str(problem) not in said:
                said.add(str(problem))
                found.append(problem)
    return found


def _notes(config: Config) -> list[str]:
    """Say what `start` would stop at, or pass over, on this computer."""
    from spotcluster.cluster.bringup import plans

    notes = []
    for template in config.clusters.values():
        refused = plans.refusals(config.with_key(template))
        notes += [f"`start` will stop at this: {error}" for error in refused]
        if template.force_spot_master and template.spot_bid is None:
            notes.append(
                f"[cluster {template.name}] FORCE_SPOT_MASTER has no effect without a SPOT_BID,"
                " or -b."
            )
    return list(dict.fromkeys(notes))  # templates may share a key


def _as_json(one: Setting) -> dict[str, Any]:
    origin = one.origin
    where: dict[str, Any] = {"kind": one.kind}
    if origin and one.kind == "file":
        where |= {
            "file": origin.source,
            "line": origin.line,
            "section": origin.section,
            "through": list(origin.through),
        }
    elif origin:
        where["name"] = origin.source.removeprefix("$")
    return {"section": one.section, "key": one.key, "value": one.value, "from": where}


def _problem_as_json(one: Problem) -> dict[str, Any]:
    return {
        "file": one.source,
        "line": one.line,
        "section": one.section,
        "key": one.key.upper(),
        "text": one.text,
    }
