"""What these tests ask conda for, and what comes of it."""

from __future__ import annotations

import pytest
from conda_channels import MINOR, PLATFORM

from spotcluster.plugins import conda

PLATFORMS = f"platforms: [{PLATFORM}]\n"


def asked(dependencies: str, *channels: str, more: str = PLATFORMS) -> conda.Asked:
    text = f"channels: [{', '.join(channels)}]\ndependencies: [{dependencies}]\n{more}"
    return conda.read(text, "e.yml")


def locked(wanted: conda.Asked, **liked: str) -> list[str]:
    """Return the packages of a lock, as NAME-VERSION."""
    text = conda.lock(wanted, MINOR, liked=liked, logins={})
    lines = {one for one in text.splitlines() if one.startswith("- conda: ")}
    names = sorted(one.rpartition("/")[2].removesuffix("-0.tar.bz2") for one in lines)
    assert len(lines) == text.count("sha256: ")
    return [one for one in names if not one.startswith("python-")]


def refusal(wanted: conda.Asked, python: str = MINOR) -> str:
    with pytest.raises(ValueError, match=r"^'e\.yml': ") as caught:
        conda.lock(wanted, python, liked={}, logins={})
    return str(caught.value).removeprefix("'e.yml': ")
