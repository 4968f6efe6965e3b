"""Machines with a kernel of their own, which has NFS; see `nfs.virtual`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines.bed.needs import why_not

from . import kernel
from .lab import VirtualLab

WANTED = "SPOTCLUSTER_TEST_NFS"
"""With this in the environment these tests are run; a computer that cannot is a failure then."""

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests time: the first of them may build the image."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="module")
def lab() -> Iterator[VirtualLab]:
    """Give the tests of a module a lab: an EC2 of its own, nothing in it, gone afterwards."""
    if not os.environ.get(WANTED):
        pytest.skip(f"whole machines with kernels take minutes; {WANTED}=1 asks for them")
    if reason := why_not() or kernel.why_not():
        pytest.fail(reason)
    with VirtualLab() as made:
        yield made


@pytest.fixture(autouse=True)
def spotcluster_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs in a lab have its home; this one is for what runs in the test's own process."""
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(tmp_path))
    return tmp_path
