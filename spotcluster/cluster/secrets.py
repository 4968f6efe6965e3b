"""Settings of plugins that are secrets: they stay on the computers whose config has them.

A cluster's record is kept in EC2's tags, which everybody who may list a group can read. So the
values of secret settings are left out of it; their names are kept, so that another computer that
lacks one can say which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import get_args

from pydantic import SecretBytes, SecretStr

from spotcluster import wording
from spotcluster.config import Template
from spotcluster.config.settings import PluginSection
from spotcluster.errors import ClusterError
from spotcluster.plugins import loader
from spotcluster.plugins.loader import PluginError

# Or a token, which is in the place of the name where a server wants no name; "git@" of SSH is none.
_PASSWORD_IN_URL = re.compile(r"(?:://[^/\s@]*:|https?://)[^/\s@]+@")


def without_secrets(template: Template) -> Template:
    """Return the template as it may be shown to others."""
    return template.model_copy(
        update={"plugins": tuple(_withhold(section) for section in template.plugins)}
    )


def has_password(text: str) -> bool:
    """Return whether there is a URL with a password or token in it."""
    return bool(_PASSWORD_IN_URL.search(text))


def with_secrets(section: PluginSection, own: Mapping[str, PluginSection]) -> dict[str, str]:
    """Return a plugin's settings, with the secret ones that this computer has.

    Raises
    ------
    ClusterError
        It lacks one.
    """
    here = own[section.name].settings if section.name in own else {}
    lacking = [key for key in section.withheld if key not in here]
    if lacking:
        names = " and ".join(key.upper() for key in lacking)
        raise ClusterError(
            f"{names} of [plugin {section.name}] is a secret, which is not kept in EC2, and the"
            " config of this computer does not have it.",
            f"Write it into the section [plugin {section.name}] of the config here too.",
        )
    return {**section.settings, **{key: here[key] for key in section.withheld}}


def _withhold(section: PluginSection) -> PluginSection:
    declared = _declared(section.setup_class)
    secret = [
        key
        for key, value in section.settings.items()
        if key in declared or wording.sounds_secret(key) or has_password(value)
    ]
    rest = {key: value for key, value in section.settings.items() if key not in secret}
    names = tuple(dict.fromkeys([*section.withheld, *secret]))
    return section.model_copy(update={"settings": rest, "withheld": names})


def _declared(setup_class: str) -> set[str]:
    """Return the settings that a plugin's class declares as secrets."""
    try:
        fields = loader.load_class(setup_class).model_fields
    except PluginError:  # it is said elsewhere; a name that sounds secret is withheld all the same
        return set()
    return {name for name, one in fields.items() if _is_secret(one.annotation)}


def _is_secret(kind: object) -> bool:
    if isinstance(kind, type):
        return issubclass(kind, (SecretStr, SecretBytes))
    return any(_is_secret(one) for one in get_args(kind))
