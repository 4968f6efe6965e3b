"""Images that `ebsimage` makes: what is booted from them, and that nothing else is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spotcluster.aws.session import Session

from .world import REGION, World

HERE = ("-r", REGION)
CLUSTERS = """
[cluster baked]
EXTENDS = bare
NODE_IMAGE_ID = tools:latest
"""


def bake(world: World, *, status: int = 0) -> str:
    done = world.run("ebsimage", "mycluster", "node001", "tools", status=status)
    return done.err if status else done.out


def configure(home: Path, more: str = CLUSTERS) -> None:
    config = home / "config"
    config.write_text(config.read_text() + more)


def images_of(world: World, cluster: str) -> set[str]:
    return {str(one.image_id) for found in world.instances(cluster).values() for one in found}


def listed(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(world.run(*HERE, "listimages", "--json").out)
    return found


def test_a_cluster_keeps_the_version_that_was_the_latest_at_its_start(
    world: World, spotcluster_home: Path
) -> None:
    configure(spotcluster_home)
    world.run("start", "-c", "bare", "mycluster")
    assert "tools:1" in bake(world)
    world.run("start", "-c", "baked", "other")
    (first,) = listed(world)
    assert images_of(world, "other") == {first["id"]}
    assert "tools:2" in bake(world)
    world.run("addnode", "other")
    assert images_of(world, "other") == {first["id"]}
    plan = json.loads(world.run("start", "-c", "baked", "--dry-run", "--json", "third").out)
    assert {one["image_name"] for one in plan["nodes"]} == {"tools:2"}
    assert "Image: tools:2 (ami-" in world.run("start", "-c", "baked", "--dry-run", "third").out


def test_an_image_that_is_not_there_or_of_another_architecture_is_refused_in_the_plan(
    world: World, spotcluster_home: Path
) -> None:
    arm = "[cluster arm]\nEXTENDS = baked\nNODE_INSTANCE_TYPE = m6g.large\n"
    configure(spotcluster_home, CLUSTERS + arm)
    said = world.run("start", "-c", "baked", "--dry-run", "x", status=2).err
    assert "There is no image 'tools' in us-east-1." in said
    world.run("start", "-c", "bare", "mycluster")
    bake(world)
    said = world.run("start", "-c", "arm", "--dry-run", "x", status=2).err
    assert "The image tools:1 is for x86_64, but m6g.large is arm64." in said
    said = world.run("start", "-n", "tools:7", "-c", "bare", "--dry-run", "x", status=2).err
    assert "'tools' has the versions 1." in said
    assert world.instances("x") == {}


def test_no_image_is_made_where_a_secret_is_left(world: World) -> None:
    world.run("start", "-c", "bare", "mycluster")

    def finds(asked: dict[str, Any]) -> dict[str, Any] | None:
        found = asked["what"] == "cleaning the copy"
        return {"out": "/home/ipuser/notes.txt\nclean\n"} if found else None

    world.machines.faults.append(finds)
    said = bake(world, status=1)
    assert "No image has been made: secrets of 'mycluster'" in said
    assert "/home/ipuser/notes.txt" in said
    assert listed(world) == []
    assert sorted(world.instances()) == ["master", "node001"]
    assert [one for one in world.left() if one.startswith(("ami-", "snap-"))] == []


def test_a_copy_that_cannot_be_reached_is_cleared_away(world: World) -> None:
    world.run("start", "-c", "bare", "mycluster")
    fail = {"lost": "sshd is dead."}
    world.machines.faults.append(lambda step: fail if step["alias"] == "image" else None)
    bake(world, status=1)
    assert sorted(world.instances()) == ["master", "node001"]
    assert [one for one in world.left() if one.startswith(("ami-", "snap-"))] == []


def test_a_copy_is_no_node_and_is_listed(world: World) -> None:
    """What is left of an `ebsimage` that was killed."""
    world.run("start", "-c", "bare", "mycluster")
    (node,) = world.instances()["node001"]
    own = {"spotcluster:cluster": "mycluster", "spotcluster:image": "tools"}
    own |= {"spotcluster:alias": "image", "spotcluster:bake": "0a1b"}
    ec2 = Session(REGION).ec2
    pairs = [{"Key": key, "Value": value} for key, value in own.items()]
    made = ec2.run_instances(
        ImageId=node.image_id,
        InstanceType="c5.large",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[
            {"ResourceType": kind, "Tags": pairs} for kind in ("instance", "volume")
        ],
    )
    copy = made["Instances"][0]["InstanceId"]
    said = world.run("listclusters").out
    assert f"{copy} is a copy of a node that becomes the image 'tools'" in said
    assert "running, 2 of 2 nodes" in said
    world.run("start", "mycluster", status=1)  # it has all its nodes
    world.run(*HERE, "removeimage", "-y", "tools")
    assert sorted(world.instances()) == ["master", "node001"]


def test_an_image_that_a_cluster_boots_from_is_removed_when_that_is_confirmed(
    world: World, spotcluster_home: Path
) -> None:
    configure(spotcluster_home)
    world.run("start", "-c", "bare", "mycluster")
    bake(world)
    bake(world)
    world.run("start", "-c", "baked", "-s", "1", "other")
    said = world.run(*HERE, "removeimage", "tools:2", status=2).err
    assert "New nodes of other could not be made then." in said
    assert len(listed(world)) == 2
    assert "tools:1" in world.run(*HERE, "removeimage", "-y", "tools:1").out
    world.run("terminate", "-y", "mycluster")
    world.run("terminate", "-y", "other")
    assert [one["version"] for one in listed(world)] == [2]
    world.run(*HERE, "removeimage", "-y", "tools")
    assert listed(world) == []
    assert world.left() == []
    assert (
        "There is no image 'tools'" in world.run(*HERE, "removeimage", "-y", "tools", status=2).err
    )


def test_a_name_that_the_config_would_not_take_is_refused(world: World) -> None:
    world.run("start", "-c", "bare", "-s", "1", "mycluster")
    for name in ("ami-1", "Tools", "tools:3", "-"):
        said = world.run("ebsimage", "mycluster", "--", name, status=2).err
        assert "cannot be the name of an image" in said
