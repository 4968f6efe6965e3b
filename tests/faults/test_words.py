"""The words of what is refused or remarked: the name that was meant, and no more than is true."""

from __future__ import annotations

import pytest

from .world import REGION, World

START = ("start", "-c", "bare", "-s", "2")


def test_wrong_type_names_the_one_that_was_meant(world: World) -> None:
    for words in ((*START, "-i", "c5.lagre", "other"), ("-r", REGION, "spothistory", "c5.lagre")):
        said = world.run(*words, status=2).err
        assert "has no instance type 'c5.lagre'. Did you mean 'c5.large'?" in said


def test_wrong_zone_was_a_lacking_subnet_of_status_1(world: World) -> None:
    said = world.run(*START, "-a", "us-east-1aa", "other", status=2).err
    assert "has no zone 'us-east-1aa'. Did you mean 'us-east-1a'?" in said
    assert "listzones" in said


def test_wrong_names_are_status_2_and_have_no_story(world: World) -> None:
    world.run(*START, "mycluster")
    for words, meant in {
        ("status", "myclutser"): "Did you mean 'mycluster'?",
        ("terminate", "-y", "myclutser"): "Did you mean 'mycluster'?",
        ("listclusters", "myclutser"): "Did you mean 'mycluster'?",
        ("costs", "nosuch"): "nothing that cost anything of 'nosuch'",
        ("help", "terminat"): "There is no command 'terminat'. Did you mean 'terminate'?",
        ("lstclusters",): "There is no command 'lstclusters'. Did you mean 'listclusters'?",
        ("config", "chek"): "There is no command 'chek'. Did you mean 'check'?",
    }.items():
        said = world.run(*words, status=2).err
        assert meant in said, words
        assert "The full story" not in said, words


def test_story_is_named_only_where_there_is_one(world: World) -> None:
    world.run(*START, "mycluster")
    said = world.run("start", "mycluster", status=1).err
    assert "already running, with 2 nodes" in said
    assert "The full story" not in said
    world.machines.faults.append(
        lambda asked: {"lost": "sshd is dead."} if asked["alias"] == "node002" else None
    )
    said = world.run("addnode", "--on-failure", "drop", "mycluster", status=1).err
    assert "The full story is in" in said


def test_start_did_not_say_that_there_is_a_dashboard(world: World) -> None:
    said = world.run(*START, "mycluster").out
    assert "spotcluster -r us-east-1 dashboard mycluster" in said


@pytest.mark.parametrize("besides", [(), ("--allow", "192.0.2.0/24")])
def test_size_of_a_running_cluster_was_ignored(world: World, besides: tuple[str, ...]) -> None:
    world.run(*START, "mycluster")
    before = world.group_rules()
    said = world.run("start", "-s", "3", *besides, "mycluster", status=1).err
    assert "already running, with 2 nodes" in said
    assert "`spotcluster addnode mycluster` to make it larger" in said
    assert world.group_rules() == before
    assert sorted(world.instances()) == ["master", "node001"]


def test_bid_far_above_is_remarked_before_anything_is_launched_at_it(world: World) -> None:
    remark = "The bid of $9/h is 106 times what c5.large costs on demand"
    started = world.run(*START, "-b", "9", "mycluster").err
    assert remark in started
    assert started.index(remark) < started.index("node001")
    assert remark in world.run("addnode", "-b", "9", "mycluster").err
    assert "The bid of" not in world.run("addnode", "-b", "0.1", "mycluster").err
