"""What plugins need of this computer is looked for before anything is made or paid for."""

from __future__ import annotations

from pathlib import Path

import pytest

from spotcluster import ssh

from .world import World

PRIVATE = """
[plugin private]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = -r needed.txt
INDEX_URL = https://pypi.example.com/simple/
INDEX_LOGIN = env PYPI_LOGIN
"""
PEOPLE = """
[plugin people]
SETUP_CLASS = spotcluster.plugins.users.CreateUsers
USERS =
"""


def add(home: Path, name: str, section: str) -> None:
    path = home / "config"
    text = path.read_text().replace("PLUGINS = ipcluster", f"PLUGINS = {name}, ipcluster")
    path.write_text(text + section)


def test_login_for_an_index_that_is_not_there_stops_every_command_that_needs_it(
    world: World, spotcluster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(spotcluster_home, "private", PRIVATE)
    (spotcluster_home / "needed.txt").write_text("numpy==2.1\n")
    why = "[plugin private] INDEX_LOGIN: the environment variable PYPI_LOGIN is not set"
    for more in ((), ("--dry-run",)):
        done = world.run("start", "-c", "bare", *more, "mycluster", status=2)
        assert why in " ".join(done.err.split())
    assert world.left() == []
    monkeypatch.setenv("PYPI_LOGIN", "me:hush-1")
    world.run("start", "-c", "bare", "mycluster")
    monkeypatch.delenv("PYPI_LOGIN")
    for words in (["addnode"], ["restart"], ["runplugin", "private"]):
        done = world.run(*words, "mycluster", status=2)
        assert why in " ".join(done.err.split())
    assert list(world.instances()) == ["master", "node001"]
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_file_that_packages_names_is_not_needed_by_what_does_not_install(
    world: World, spotcluster_home: Path
) -> None:
    add(spotcluster_home, "private", PRIVATE.replace("INDEX_LOGIN", "# INDEX_LOGIN"))
    done = world.run("start", "-c", "bare", "mycluster", status=2)
    assert f"PACKAGES: '{spotcluster_home}/needed.txt' does not exist." in done.err
    assert world.left() == []
    (spotcluster_home / "needed.txt").write_text("numpy==2.1\n")
    world.run("start", "-c", "bare", "mycluster")
    (spotcluster_home / "needed.txt").unlink()
    world.run("removenode", "-y", "mycluster", "node001")
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []


def test_more_than_tags_can_keep_is_refused_before_anything_is_made(
    world: World, spotcluster_home: Path
) -> None:
    keys = [ssh.keys.bare(ssh.keys.generate().public) for _ in range(90)]
    listed = "".join(f"    user{number}: {key}\n" for number, key in enumerate(keys))
    add(spotcluster_home, "people", PEOPLE + listed)
    done = world.run("start", "-c", "bare", "mycluster", status=2)
    said = " ".join(done.err.split())
    assert (
        "of them in [plugin people], and EC2's tags, where a cluster keeps them, have room" in said
    )
    assert world.left() == []


def test_cluster_user_among_the_users_is_refused_before_anything_is_made(
    world: World, spotcluster_home: Path
) -> None:
    key = ssh.keys.bare(ssh.keys.generate().public)
    add(spotcluster_home, "people", f"{PEOPLE}    ipuser: {key}\n")
    done = world.run("start", "-c", "bare", "mycluster", status=2)
    assert "[plugin people] USERS: 'ipuser' is the cluster user" in " ".join(done.err.split())
    assert world.left() == []
