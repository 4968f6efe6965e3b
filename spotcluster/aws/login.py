"""Profiles whose credentials come from a login: the command that makes it anew."""

from __future__ import annotations

import shlex

_DEEPEST = 10  # profiles that name one another as their source; AWS's own tools stop at a circle


def command(profile: str) -> str:
    """Return the command that logs `profile` in, "" where it needs no login.

    The login of a role is that of the profile that it is assumed from.
    """
    import botocore.session

    profiles = botocore.session.Session().full_config.get("profiles", {})
    name = profile
    for _ in range(_DEEPEST):
        settings = profiles.get(name, {})
        if "sso_session" in settings or "sso_start_url" in settings:
            return f"aws sso login --profile {shlex.quote(name)}"
        if "login_session" in settings:
            return f"aws login --profile {shlex.quote(name)}"
        if "source_profile" not in settings:
            return ""
        name = settings["source_profile"]
    return ""
