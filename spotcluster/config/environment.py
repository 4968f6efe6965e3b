"""What the environment says in place of ``[aws info]``.

The order is: the command line, the environment, the file, the default. A cluster's own ``REGION``
is more specific than any region that is meant for everything: its image, subnet and zone belong to
it, so the environment stands in for ``AWS_REGION_NAME`` only.

Keys are never taken from the environment here. Where it has some, those of the file are left out,
and boto3's own chain finds those of the environment.
"""

from __future__ import annotations

from collections.abc import Mapping

from spotcluster.config.grammar import Entry, Section

REGION = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME")
PROFILE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
KEY = "AWS_ACCESS_KEY_ID"
"""boto3 looks for the other variables only where this one is set."""

KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def apply(entries: Mapping[str, Entry], environ: Mapping[str, str]) -> dict[str, Entry]:
    """Return the entries of ``[aws info]`` as the environment changes them."""
    changed = dict(entries)
    profile = _first(PROFILE, environ)
    if profile or environ.get(KEY):
        for key in KEYS:
            changed.pop(key, None)
    if environ.get(KEY):
        # A profile that boto3 is told of wins over keys in the environment; one there does not.
        changed.pop("aws_profile", None)
    elif profile:
        changed["aws_profile"] = _entry("aws_profile", profile, environ)
    region = _first(REGION, environ)
    if region:
        changed["aws_region_name"] = _entry("aws_region_name", region, environ)
    return changed


def _first(names: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    return next((name for name in names if environ.get(name)), None)


def _entry(key: str, variable: str, environ: Mapping[str, str]) -> Entry:
    section = Section("aws info", "", 0, f"${variable}")
    return Entry(key, environ[variable].strip(), 0, section)
