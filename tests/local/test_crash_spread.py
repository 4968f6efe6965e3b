"""kill -9 at a spread of calls and remote steps of every command, on the local cloud's hosts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import programs
import pytest
from commands import cli, nodes_of
from crash_spread import Spread

from spotcluster import files, local
from spotcluster.aws import keypairs
from spotcluster.aws.session import Session
from spotcluster.cluster.lifecycle import terminate
from spotcluster.local import processes

CONFIG = """
[key mykey]

[cluster bare]
KEYNAME = mykey
REGION = local
NODE_INSTANCE_TYPE = c5.large
CLUSTER_SIZE = 2
SPOT_BID = 0.5
"""


class LocalCloud:
    """The local cloud below a home folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.hosts: set[str] = set()

    def call(self, command: Sequence[str]) -> tuple[int, str]:
        done = programs.run(command, timeout=400)
        self.hosts |= {path.name for path in (self.home / "local" / "hosts").glob("i-*")}
        return done.returncode, done.stderr

    def nodes(self) -> list[str]:
        listed = json.loads(cli("listclusters", "--json"))
        if not listed:
            return []
        found = nodes_of(listed[0])
        assert all(one["ready"] for one in found.values()), found
        last = list(found)[-1]
        hop = f"ssh -o BatchMode=yes {last} echo here" if last != "master" else "echo here"
        assert cli("sshmaster", "mycluster", hop).strip() == "here"
        return list(found)

    def is_stopped(self) -> bool:
        (found,) = json.loads(cli("listclusters", "--json"))
        return [one["alias"] for one in found["nodes"]] == ["master"] and found[
            "state"
        ] == "stopped"

    def left(self) -> list[str]:
        session = Session("local")
        ec2 = session.ec2
        there = terminate.remains(session, "mycluster")
        groups = ec2.describe_security_groups()["SecurityGroups"]
        states = [{"Name": "state", "Values": ["open", "active"]}]
        return [
            *([str(there)] if there else []),
            *(one["GroupName"] for one in groups if one["GroupName"] != "default"),
            *(one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]),
            *(
                one["LaunchTemplateId"]
                for one in ec2.describe_launch_templates()["LaunchTemplates"]
            ),
            *(
                one["SpotInstanceRequestId"]
                for one in ec2.describe_spot_instance_requests(Filters=states)[
                    "SpotInstanceRequests"
                ]
            ),
            *(pair.name for pair in keypairs.list_all(session) if pair.name != "mykey"),
            *(
                f"process {one.pid} of {host}"
                for host, found in processes.marks().items()
                if host in self.hosts
                for one in found
            ),
            *(str(path) for path in (self.home / "local" / "hosts").glob("i-*")),
            *(
                str(path)
                for path in (files.known_hosts_file("local", "mycluster"),)
                if path.exists()
            ),
        ]


@pytest.fixture
def spread(spotcluster_home: Path, tmp_path: Path) -> Iterator[Spread]:
    (spotcluster_home / "config").write_text(CONFIG)
    try:
        cli("createkey", "mykey")
        yield Spread(LocalCloud(spotcluster_home), tmp_path)
    finally:
        local.stop()


@pytest.mark.timeout(2400)  # many commands, each with a limit of its own
def test_killed_anywhere_it_converges_or_leaves_nothing(
    spread: Spread, shown: Callable[[str], None]
) -> None:
    spread.learn()
    for share in (0.3, 0.7):
        spread.converges(share)
    spread.leaves_nothing(0.5)
    shown("\n".join(spread.told))
