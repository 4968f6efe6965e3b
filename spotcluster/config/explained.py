"""A resolved template as a list: each value, and where it comes from. Secrets are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spotcluster import wording
from spotcluster.config import environment
from spotcluster.config.config import Config
from spotcluster.config.origins import Origin
from spotcluster.config.settings import Settings
from spotcluster.config.template import AUTOSTOP, FLAGS, Template

HIDDEN = "(not shown)"
Kind = Literal["file", "environment", "flag", "default"]

# What a cluster's key means where nothing says it; the others have a default of their own.
_MEANS = {
    "node_image_id": "(the region's Ubuntu 24.04)",
    "master_image_id": "(that of the nodes)",
    "master_instance_type": "(that of the nodes)",
    "availability_zone": "(any)",
    "subnet_id": "(the roomiest of the default VPC)",
    "public_ips": "(yes)",
    "spot_bid": "(none: on demand)",
    "image_user": "(as the image's name tells)",
    "allow": "(this computer's address)",
    "root_volume_size": "(the image's own)",
    "autostop": f"({AUTOSTOP})",
    "budget": "(no limit)",
    "max_hours": "(no limit)",
}
_UNSHOWN = ("name", "key_location", "disable_queue")  # no keys of their own, or without meaning


@dataclass(frozen=True)
class Setting:
    """One value.

    Attributes
    ----------
    section, key : str
        Where it belongs, as it is written in a file.
    value : Any
        What it is, fit for JSON; None where nothing is said.
    text : str
        The same in words.
    origin : Origin or None
        The place; None for a default.
    kind : str
        What kind of place it is.
    """

    section: str
    key: str
    value: Any
    text: str
    origin: Origin | None
    kind: Kind


def explain(
    config: Config, template: Template, flags: Mapping[str, Any], region: tuple[str, Origin | None]
) -> list[Setting]:
    """Return the settings that a start from `template` would go by.

    Parameters
    ----------
    template : Template
        With what the flags say, and its key, and without the secrets of plugins.
    flags : mapping
        What the command line says, by the names of the fields; None for what it does not say.
    region : (str, Origin or None)
        Where the start would go, and where that comes from.
    """
    given = {key: f"--{key.replace('_', '-')}" for key, value in flags.items() if value is not None}
    given |= {key: flag for key, flag in FLAGS.items() if key in given}
    return [
        *_cluster(config, template, given, region),
        *_key(config, template),
        *_aws(config),
        *(one for plugin in template.plugins for one in _plugin(config, plugin.name, template)),
        *(one for volume in template.volumes for one in _named(config, "volume", volume)),
        *(one for each in template.permissions for one in _named(config, "permission", each)),
    ]


def _cluster(
    config: Config,
    template: Template,
    given: Mapping[str, str],
    region: tuple[str, Origin | None],
) -> Iterator[Setting]:
    title = f"cluster {template.name}"
    places = config.origins.get(title, {})
    values = template.model_dump(mode="json")
    for key in Template.model_fields:
        if key in _UNSHOWN:
            continue
        value, origin = values[key], places.get(key)
        if key in ("plugins", "volumes", "permissions"):
            value = [one["name"] for one in value]
        if key == "region":
            value, origin = region
        if key in given:
            origin = Origin(given[key], 0, "")
        yield _setting(title, key, value, origin)


def _key(config: Config, template: Template) -> Iterator[Setting]:
    title = f"key {template.keyname}"
    origin = config.origins.get(title, {}).get("key_location")
    yield _setting(title, "key_location", str(template.key_location), origin)


def _aws(config: Config) -> Iterator[Setting]:
    places = config.origins.get("aws info", {})
    aws = config.aws
    for key, value in (("aws_region_name", aws.region), ("aws_profile", aws.profile)):
        if value:
            yield _setting("aws info", key, value, places.get(key))
    for key in environment.KEYS:
        if key in places:
            yield _setting("aws info", key, None, places[key])
    for key in ("throttle_timeout", "answer_timeout", "settle_timeout"):
        yield _setting("aws info", key, getattr(aws, key), places.get(key))


def _plugin(config: Config, name: str, template: Template) -> Iterator[Setting]:
    title = f"plugin {name}"
    places = config.origins.get(title, {})
    (plugin,) = [one for one in template.plugins if one.name == name]
    yield _setting(title, "setup_class", plugin.setup_class, places.get("setup_class"))
    for key, value in plugin.settings.items():
        yield _setting(title, key, value, places.get(key))
    for key in plugin.withheld:
        yield _setting(title, key, None, places.get(key), hidden=True)


def _named(config: Config, kind: str, section: Settings) -> Iterator[Setting]:
    values = section.model_dump(mode="json")
    title = f"{kind} {values.pop('name')}"
    places = config.origins.get(title, {})
    for key, value in values.items():
        yield _setting(title, key, value, places.get(key))


def _setting(
    title: str, key: str, value: Any, origin: Origin | None, *, hidden: bool = False
) -> Setting:
    kind: Kind = "file"
    if origin is None:
        kind = "default"
    elif not origin.line:
        kind = "environment" if origin.source.startswith("$") else "flag"
    if hidden or wording.sounds_secret(key):
        return Setting(title, key.upper(), None, HIDDEN, origin, kind)
    return Setting(title, key.upper(), value, _text(key, value), origin, kind)


def _text(key: str, value: Any) -> str:
    if value is None or value == []:
        return _MEANS.get(key, "(none)")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return " ".join(str(value).split())
