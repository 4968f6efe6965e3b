"""Real local clouds: a daemon, its hosts, and no process of them left afterwards.

Fixtures for conftest files to import.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import packages
import pytest
from hosts import client_of

from spotcluster import local
from spotcluster.local import processes


@contextmanager
def running_local_cloud(home: Path) -> Iterator[local.Endpoint]:
    """Run a local cloud below `home`, which SPOTCLUSTER_HOME must name, and see it all end."""
    hosts: set[str] = set()
    try:
        endpoint = local.start()
        yield endpoint
        hosts = known_instances(local.endpoint())
    finally:
        hosts |= {path.name for path in (home / "local" / "hosts").glob("i-*")}
        local.stop()
    left = {host: found for host, found in processes.marks().items() if host in hosts}
    assert not left, f"processes of ended hosts are left: {left}"
    assert not local.status().running


def known_instances(endpoint: local.Endpoint) -> set[str]:
    """Return the ids of all instances that the API still lists."""
    ec2 = client_of(endpoint)
    return {
        instance["InstanceId"]
        for page in ec2.get_paginator("describe_instances").paginate()
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    }


@pytest.fixture(autouse=True)
def cached_packages(spotcluster_home: Path) -> None:
    """Let the hosts of a local cloud that a test starts link what those of others have."""
    packages.link(spotcluster_home)


@pytest.fixture
def local_cloud(spotcluster_home: Path) -> Iterator[local.Endpoint]:
    """Give one test a local cloud of its own."""
    with running_local_cloud(spotcluster_home) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def module_home() -> Iterator[Path]:
    """Give the tests of a module one folder for a local cloud that they share."""
    folder = Path(tempfile.mkdtemp(prefix="sc-"))
    packages.link(folder)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def module_cloud(module_home: Path) -> Iterator[local.Endpoint]:
    """Give the tests of a module one local cloud; see `in_module_cloud`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPOTCLUSTER_HOME", str(module_home))
        with running_local_cloud(module_home) as endpoint:
            yield endpoint


@pytest.fixture
def in_module_cloud(
    module_cloud: local.Endpoint,
    module_home: Path,
    spotcluster_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> local.Endpoint:
    """Point SPOTCLUSTER_HOME, which every test has of its own, at the module's local cloud."""
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(module_home))
    return module_cloud
