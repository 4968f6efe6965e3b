"""kill -9 at a spread of calls and remote steps of every command, on machines that boot."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from crash_spread import ADD, START, Spread

from .bed.lab import Lab

CONFIG = """
[cluster bare]
EXTENDS = iptemplate
PLUGINS =
SPOT_BID = 0.5
CLUSTER_SIZE = 2
"""


class Machines:
    """The machines of a lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def call(self, command: Sequence[str]) -> tuple[int, str]:
        done = self.lab.program(command, timeout=400)
        return done.returncode, done.stderr

    def nodes(self) -> list[str]:
        found = json.loads(self.lab.run("listclusters", "--json"))
        if not found:
            return []
        (cluster,) = found
        # `removenode` does not wait until the machine is gone
        there = [node for node in cluster["nodes"] if node["state"] != "shutting-down"]
        assert all(node["ready"] for node in there), cluster
        aliases = [node["alias"] for node in there]
        hop = f"ssh -o BatchMode=yes {aliases[-1]} hostname" if len(aliases) > 1 else "hostname"
        assert self.lab.run("sshmaster", "mycluster", hop).strip() == aliases[-1]
        return aliases

    def is_stopped(self) -> bool:
        (found,) = json.loads(self.lab.run("listclusters", "--json"))
        return [one["alias"] for one in found["nodes"]] == ["master"] and found[
            "state"
        ] == "stopped"

    def left(self) -> list[str]:
        ec2 = self.lab.ec2
        open_ = [{"Name": "state", "Values": ["open", "active"]}]
        requests = ec2.describe_spot_instance_requests(Filters=open_)["SpotInstanceRequests"]
        return [
            *(one.id for one in self.lab.machines),
            *(
                one["GroupName"]
                for one in ec2.describe_security_groups()["SecurityGroups"]
                if one["GroupName"] != "default"
            ),
            *(one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]),
            *(
                one["LaunchTemplateId"]
                for one in ec2.describe_launch_templates()["LaunchTemplates"]
            ),
            *(
                one["KeyName"]
                for one in ec2.describe_key_pairs()["KeyPairs"]
                if one["KeyName"] != "mykey"
            ),
            *(one["SpotInstanceRequestId"] for one in requests),
            *(str(path) for path in (self.lab.home / "known_hosts").rglob("mycluster")),
        ]


@pytest.mark.timeout(2400)  # many commands, each with a limit of its own
def test_killed_anywhere_it_converges_or_leaves_nothing(
    lab: Lab, tmp_path: Path, shown: Callable[[str], None]
) -> None:
    lab.configure(CONFIG)
    spread = Spread(Machines(lab), tmp_path)
    spread.learn()
    spread.converges(0.45)
    spread.converges(0.8)
    spread.leaves_nothing(0.6, (START, ADD))
    shown("\n".join(spread.told))
