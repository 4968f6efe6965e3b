"""Machines that boot, for the tests of this folder; see `machines.bed`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .bed.lab import Lab
from .bed.machine import Machine
from .bed.needs import why_not

REQUIRED = "SPOTCLUSTER_TEST_MACHINES"
"""With this in the environment, machines that cannot boot are a failure: CI must not skip."""


_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests time: the first of them may build the image."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def bed() -> None:
    """Skip, with a sentence, where machines cannot boot."""
    reason = why_not()
    if reason and os.environ.get(REQUIRED):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def lab(bed: None) -> Iterator[Lab]:
    """Give the tests of a module a lab: an EC2 of its own, nothing in it, gone afterwards."""
    with Lab() as made:
        yield made


@pytest.fixture(scope="module")
def shared(lab: Lab) -> Machine:
    """One machine that is up, for the tests of a module that leave it as it is."""
    return lab.launch("shared").wait_up()


@pytest.fixture
def machine(lab: Lab) -> Iterator[Machine]:
    """One machine that is up, for one test that may do with it what it wants."""
    made = lab.launch().wait_up()
    yield made
    if made.state != "terminated":
        lab.ec2.terminate_instances(InstanceIds=[made.id])
        made.wait("terminated")


@pytest.fixture(autouse=True)
def spotcluster_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs in a lab have its home; this one is for what runs in the test's own process."""
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(tmp_path))
    return tmp_path
