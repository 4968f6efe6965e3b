"""Makes `cluster.json` beside it; README.md says how to run it, and with what.

python make.py FILE
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from world import CREDENTIALS, REGION, World, running

from spotcluster.aws.session import Session


def seen(world: World) -> dict[str, Any]:
    """Return a cluster as it is in EC2, on its machines and on the computer that started it."""
    ec2 = Session(REGION).client("ec2")
    (group,) = ec2.describe_security_groups(GroupNames=["spotcluster-mycluster"])["SecurityGroups"]
    instances = [
        one
        for reservation in ec2.describe_instances()["Reservations"]
        for one in reservation["Instances"]
    ]
    asked = {
        one["InstanceId"]: one
        for one in ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    }
    for one in instances:
        value = ec2.describe_instance_attribute(InstanceId=one["InstanceId"], Attribute="userData")
        one["UserData"] = value["UserData"]["Value"]
        one["SpotRequest"] = asked.get(one["InstanceId"])
    return {
        "group": group,
        "instances": instances,
        "machines": world.machines.files,
        "own": {str(path.relative_to(world.home)): path.read_text() for path in world.own_files()},
        "listed": json.loads(world.run("-r", REGION, "listclusters", "--json").out),
        "status": json.loads(world.run("-r", REGION, "status", "mycluster", "--json").out),
    }


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    home = Path(tempfile.mkdtemp(prefix="sc-"))
    os.environ |= {
        "SPOTCLUSTER_HOME": str(home),
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key,
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_key,
        "NO_PROXY": "127.0.0.1",
    }
    with running(folder, home) as world:
        world.run("start", "-c", "steady", "mycluster")
        world.run("addnode", "-b", "0.5", "mycluster")
        text = json.dumps(seen(world), indent=1, default=str)
    Path(sys.argv[1]).write_text(text + "\n")


if __name__ == "__main__":
    main()
