"""Packages of the distribution: what is no package is refused before anything is made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from spotcluster.plugins import loader
from spotcluster.plugins.packages import PackageInstaller


def test_packages_and_versions_are_read_from_a_list() -> None:
    given = {"packages": "htop, libgomp1,g++,\nlibc6:amd64, vim=2:9.0.1378-2+deb12u2, R"}
    found = PackageInstaller.model_validate(given).packages
    assert found == ("htop", "libgomp1", "g++", "libc6:amd64", "vim=2:9.0.1378-2+deb12u2", "R")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "htop-",
        "-y",
        "a*",
        "htop/stable",
        "./x.deb",
        "a b",
        "$(id)",
        "htop=",
        "htop>=3",
        "a, a=1",
    ],
)
def test_what_is_no_package_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError, match=r"is not a package|names no package|named twice"):
        PackageInstaller.model_validate({"packages": bad})


def test_starclusters_name_means_ours() -> None:
    assert (
        loader.load_class("starcluster.plugins.pkginstaller.PackageInstaller") is PackageInstaller
    )


def test_machine_without_sudo_goes_without_and_it_is_said_once() -> None:
    notes: list[str] = []
    cluster: Any = SimpleNamespace(note=notes.append)
    for is_master in (True, False):
        node: Any = SimpleNamespace(is_master=is_master, facts=SimpleNamespace(sudo=False))
        PackageInstaller.model_validate({"packages": "htop"}).setup(cluster, node)
    assert notes == ["without sudo nodes do not get the packages htop"]
