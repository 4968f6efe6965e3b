"""Channels of conda are asked by who begins a cluster with what they have, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conda_channels import PLATFORM, Channel, served

from .world import World

SECTION = """
[plugin {name}]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = {name}.yml
"""
NOWHERE = "http://127.0.0.1:1/x"


@pytest.fixture
def channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "rattler"))
    made = Channel(tmp_path / "channel")
    made.add_python()
    made.add_module("greetings", "1.0", "")
    made.index()
    with served(made) as given:
        yield given


def write(home: Path, name: str, url: str, *, used: bool) -> None:
    """Put a section into the config, and its file beside that."""
    path = home / "config"
    text = path.read_text()
    if used:
        text = text.replace("PLUGINS = ", f"PLUGINS = {name}, ")
    path.write_text(text + SECTION.format(name=name))
    (home / f"{name}.yml").write_text(
        f"channels: [{url}]\nplatforms: [{PLATFORM}]\ndependencies: [greetings]\n"
    )


def test_channel_of_a_section_that_the_template_does_not_use_is_not_asked(
    world: World, spotcluster_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "rattler"))
    write(spotcluster_home, "others", NOWHERE, used=False)
    world.run("start", "-s", "1", "-c", "bare", "mycluster")
    world.run("addnode", "mycluster")
    world.run("config", "check")
    done = world.run("runplugin", "others", "mycluster", status=2)
    assert "a channel cannot be read" in " ".join(done.err.split())
    world.run("terminate", "-y", "mycluster")
    path = spotcluster_home / "config"
    path.write_text(path.read_text().replace("PLUGINS = ", "PLUGINS = others, "))
    world.run("config", "check")
    done = world.run("start", "-c", "bare", "mycluster", status=2)
    assert f"asking {NOWHERE} for the packages of" in " ".join(done.err.split())
    assert "a channel cannot be read" in " ".join(done.err.split())
    assert world.left() == []


def test_cluster_that_is_there_needs_no_channel(
    world: World, spotcluster_home: Path, channel: Channel
) -> None:
    write(spotcluster_home, "mine", channel.url, used=True)
    world.run("start", "-s", "1", "-c", "bare", "mycluster")
    channel.requests.clear()
    path = spotcluster_home / "mine.yml"
    path.write_text(path.read_text().replace(channel.url, NOWHERE))
    world.run("addnode", "mycluster")
    world.run("status", "mycluster")
    world.run("stop", "-y", "mycluster")
    world.run("start", "mycluster")
    world.run("terminate", "-y", "mycluster")
    assert channel.requests == []
    assert world.left() == []


def test_environment_that_would_come_after_engines_is_refused(
    world: World, spotcluster_home: Path, channel: Channel
) -> None:
    """They would have run in one that was removed under them."""
    write(spotcluster_home, "mine", channel.url, used=False)
    path = spotcluster_home / "config"
    given = path.read_text()
    assert "PLUGINS = ipcluster\n" in given
    path.write_text(given.replace("PLUGINS = ipcluster\n", "PLUGINS = ipcluster, mine\n"))
    done = world.run("start", "-c", "bare", "mycluster", status=2)
    assert "Write `PLUGINS = mine, ipcluster`" in " ".join(done.err.split())
    assert world.left() == []


def test_two_sections_with_packages_of_conda_are_refused(
    world: World, spotcluster_home: Path, channel: Channel
) -> None:
    """The second would have undone the first, and nobody would have said so."""
    write(spotcluster_home, "mine", channel.url, used=True)
    write(spotcluster_home, "more", channel.url, used=True)
    done = world.run("start", "-c", "bare", "mycluster", status=2)
    assert "both bring packages of conda's" in " ".join(done.err.split())
    assert world.left() == []
