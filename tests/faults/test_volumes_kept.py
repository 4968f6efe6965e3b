"""Volumes in a world without machines: checked before anything is made, kept whatever happens."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from werkzeug.wrappers import Response

from spotcluster.aws.session import Session

from . import sweep
from .commands import END
from .world import REGION, World

HERE = ("-r", REGION)
START = ("start", "-c", "keeping", "-s", "1", "mycluster")
FORMAT = (*START, "--format")


@pytest.fixture(autouse=True)
def config(world: World, spotcluster_home: Path) -> None:
    """Add clusters with volumes to the world's config."""
    path = spotcluster_home / "config"
    more = "".join(
        f"\n[volume {name}]\nVOLUME_ID = {name}\nMOUNT_PATH = /mnt/{name}\n"
        for name in ("data", "more", "third")
    )
    more += "\n[cluster keeping]\nEXTENDS = bare\nPLUGINS =\nVOLUMES = data\n"
    more += "\n[cluster several]\nEXTENDS = keeping\nVOLUMES = data, more, third\n"
    path.write_text(path.read_text() + more)


def made(world: World, name: str = "data", zone: str = "us-east-1c") -> str:
    """Make a volume; return its id."""
    said = world.run(*HERE, "createvolume", "10", zone, "-n", name, "--json")
    return str(json.loads(said.out)["id"])


def volumes() -> dict[str, Any]:
    return {one["VolumeId"]: one for one in Session(REGION).ec2.describe_volumes()["Volumes"]}


def others(world: World, *kept: str) -> list[str]:
    """Return what is left in EC2 besides the volumes that are to be kept."""
    left = world.left()
    assert set(kept) <= set(left)
    return [one for one in left if one not in kept]


def test_volume_is_encrypted_tagged_and_of_no_cluster(world: World) -> None:
    name = made(world)
    volume = volumes()[name]
    assert volume["Encrypted"]
    assert volume["VolumeType"] == "gp3"
    assert {tag["Key"]: tag["Value"] for tag in volume["Tags"]} == {
        "Name": "data",
        "spotcluster:volume": "data",
        "spotcluster:content": "none",
    }


def test_answer_that_is_lost_makes_one_volume(world: World) -> None:
    lost = []

    def lose(number: int, name: str, do: Callable[[], Response]) -> Response:
        response = do()
        if name == "CreateVolume" and not lost:
            lost.append(number)
            return Response(status=503)
        return response

    world.on_call = lose
    made(world)
    assert len(lost) == 1
    assert len(volumes()) == 1


def test_new_volume_without_format_is_refused_before_anything_is_made(world: World) -> None:
    volume = made(world)
    said = world.run(*START, status=2)
    assert f"'data' ({volume}, 10 GiB)" in said.err
    assert "--format" in said.err
    assert others(world, volume) == []


def test_cluster_goes_to_the_zone_of_its_volume(world: World) -> None:
    volume = made(world)
    world.run(*FORMAT)
    (master,) = world.instances()["master"]
    assert master.availability_zone == "us-east-1c"
    assert volumes()[volume]["Attachments"][0]["InstanceId"] == master.id
    assert world.machines.files[master.id]["/mnt/data"] == volume
    (found,) = json.loads(world.run(*HERE, "listvolumes", "--json").out)
    assert (found["cluster"], found["alias"], found["mount"]) == (
        *("mycluster", "master"),
        "/mnt/data",
    )
    world.run("addnode", "mycluster")  # a worker has no volume, and may be in any zone
    assert world.ready() == ["master", "node001"]


def test_everything_that_is_wrong_with_volumes_is_said_at_once(world: World) -> None:
    data, more = made(world), made(world, "more", "us-east-1a")
    world.run("start", "-c", "keeping", "-s", "1", "--format", "other")
    said = world.run("start", "-c", "several", "--format", "mycluster", status=2).err
    assert f"[volume data]: {data} is attached to master of 'other'." in said
    assert "[volume third]: the volume third is not in us-east-1." in said
    assert "VOLUMES must be in one zone" in said
    assert f"({more}, 10 GiB) in us-east-1a" in said
    assert world.instances("mycluster") == {}
    said = world.run(*HERE, "removevolume", "-y", "data", status=2).err
    assert "is attached to" in said


def test_zone_that_is_not_the_volumes_is_refused(world: World, spotcluster_home: Path) -> None:
    volume = made(world)
    said = world.run(*FORMAT, "-a", "us-east-1a", status=2)
    assert "The volumes are in us-east-1c" in said.err
    subnets = Session(REGION).ec2.describe_subnets()["Subnets"]
    other = next(one for one in subnets if one["AvailabilityZone"] == "us-east-1a")
    config = spotcluster_home / "config"
    config.write_text(
        config.read_text().replace(
            "VOLUMES = data\n", f"VOLUMES = data\nSUBNET_ID = {other['SubnetId']}\n"
        )
    )
    said = world.run(*FORMAT, status=2)
    assert f"The subnet {other['SubnetId']} is in us-east-1a, and the volumes are in" in said.err
    assert others(world, volume) == []


def test_volume_that_turns_out_to_be_empty_leaves_the_cluster_usable(world: World) -> None:
    volume = made(world)
    Session(REGION).ec2.delete_tags(
        Resources=[volume], Tags=[{"Key": "spotcluster:content"}]
    )  # as of one that was made elsewhere
    said = world.run(*START, status=1)
    assert f"'data' ({volume}) is not mounted on /mnt/data: it has no file system" in said.err
    assert world.ready() == ["master"]
    assert world.machines.disks == {}
    said = world.run(*FORMAT)
    assert world.machines.disks == {volume: "ext4"}
    said = world.run(*FORMAT, status=1)
    assert "already running" in said.err


def test_terminate_lets_go_of_the_volume_and_says_that_it_is_kept(world: World) -> None:
    volume = made(world)
    world.run(*FORMAT)
    world.begin()
    said = world.run("terminate", "-y", "mycluster")
    order = [
        one for one in world.calls if one.endswith(("Volume", "volumes", "TerminateInstances"))
    ]
    assert order[:3] == ["master: unmounting the volumes", "DetachVolume", "TerminateInstances"]
    assert f"Volumes that are kept: 'data' ({volume}), 10 GiB" in said.out
    assert others(world, volume) == []
    world.run(*START)  # there is a file system on it now
    assert world.machines.disks == {volume: "ext4"}


def test_terminate_of_a_master_that_does_not_answer_keeps_the_volume(world: World) -> None:
    volume = made(world)
    world.run(*FORMAT)
    world.machines.faults.append(lambda step: {"lost": "It does not answer."})
    said = world.run("terminate", "-y", "mycluster")
    assert "the master's shutdown does it" in said.err
    assert others(world, volume) == []
    assert volumes()[volume]["State"] == "available"


def test_master_that_is_replaced_hands_its_volume_on(world: World) -> None:
    volume = made(world)
    first: list[str] = []

    def fails(step: dict[str, Any]) -> dict[str, Any] | None:
        if step["what"].startswith("mounting") and not first:
            first.append(step["id"])
        return {"lost": "It has died."} if step["id"] in first else None

    world.machines.faults.append(fails)
    world.run(*FORMAT)
    (master,) = world.instances()["master"]
    assert master.id not in first
    assert volumes()[volume]["Attachments"][0]["InstanceId"] == master.id


def test_size_is_changed_once_when_the_answer_is_lost_and_never_made_smaller(
    world: World,
) -> None:
    volume = made(world)
    world.run(*FORMAT)
    lost = []

    def lose(number: int, name: str, do: Callable[[], Response]) -> Response:
        response = do()
        if name == "ModifyVolume" and not lost:
            lost.append(number)
            return Response(status=503)
        return response

    world.on_call = lose
    said = world.run(*HERE, "resizevolume", "data", "20")
    assert "had 10 GiB and has 20 GiB" in said.out
    assert "ext4 file system on /mnt/data" in said.out
    assert volumes()[volume]["Size"] == 20
    world.on_call = None
    assert "smaller" in world.run(*HERE, "resizevolume", volume, "19", status=2).err
    assert "1 to 65536 GiB" in world.run(*HERE, "resizevolume", volume, "0", status=2).err
    assert volumes()[volume]["Size"] == 20


@pytest.mark.parametrize("what", ["start", "terminate"])
def test_killed_around_volumes_loses_none(world: World, what: str) -> None:
    volume = made(world)
    words = FORMAT
    if what == "terminate":
        world.run(*FORMAT)
        words = END
    saved = world.save()
    table = sweep.record(world, words, saved)
    changing = ("AttachVolume", "DetachVolume", "mounting the volumes")
    near = [row for row in table.calls() if row.name.endswith(changing)]
    assert len(near) == 2
    for row in near:
        for after in (False, True):
            world.restore(saved)
            hit = sweep.called(row.name)
            name, _ = sweep.cut_off(world, words, hit, signal.SIGKILL, after=after)
            where = f"killed {'after' if after else 'before'} {name}"
            assert volumes()[volume]["State"] in ("available", "in-use"), where
            on_it = dict(world.machines.disks)
            done = world.terminal(*FORMAT).wait() if what == "start" else None
            if done:
                assert done.status == 0 or "already running" in done.err, f"{where}: {done.err}"
                (master,) = world.instances()["master"]
                assert world.machines.files[master.id]["/mnt/data"] == volume, where
            end = world.terminal(*END).wait()
            assert end.status == 0 or "There is no cluster" in end.err, f"{where}: {end.err}"
            assert others(world, volume) == [], where
            assert volumes()[volume]["State"] == "available", where
            assert on_it.items() <= world.machines.disks.items(), where
