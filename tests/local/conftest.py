"""A real local cloud, and machines on it that are reached by ssh."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import clouds
import pytest
from hosts import Machine, client_of, new_key

from spotcluster import local

cached_packages = clouds.cached_packages
local_cloud = clouds.local_cloud
module_home = clouds.module_home
module_cloud = clouds.module_cloud
in_module_cloud = clouds.in_module_cloud

LONGEST = ("test_crash_spread.py", "test_demo.py", "test_tutorial.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that the end is not one process's with one."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="module")
def ec2(module_cloud: local.Endpoint) -> Any:
    """Give a client of the module's cloud, whose default group lets ssh in."""
    client = client_of(module_cloud)
    (group,) = client.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    client.authorize_security_group_ingress(
        GroupId=group["GroupId"], CidrIp="127.0.0.1/32", IpProtocol="tcp", FromPort=22, ToPort=22
    )
    return client


@pytest.fixture(scope="module")
def launch(ec2: Any, module_home: Path) -> Callable[..., Machine]:
    """Give a function that launches an instance there, by what is given to RunInstances."""
    public = new_key(module_home / "key")
    ec2.import_key_pair(KeyName="k", PublicKeyMaterial=public.encode())

    def one(**params: Any) -> Machine:
        given = {"ImageId": "ami-5b3fb632", "InstanceType": "c1.xlarge", "KeyName": "k", **params}
        answer = ec2.run_instances(MinCount=1, MaxCount=1, **given)
        return Machine(ec2, answer["Instances"][0]["InstanceId"], module_home)

    return one


@pytest.fixture(scope="module")
def machine(launch: Any) -> Machine:
    """Give the tests that change nothing one machine."""
    found: Machine = launch().wait("running")
    return found
