"""The plugin `nfs` on machines that boot, on a kernel without NFS: it says so, and that is all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .bed.lab import Lab
from .bed.machine import Machine
from .bed.network import LAPTOP

CONFIG = f"""
[plugin nfs]
SETUP_CLASS = spotcluster.plugins.nfs.NFS

[cluster alone]
KEYNAME = mykey
REGION = us-east-1
NODE_INSTANCE_TYPE = c5.large
ALLOW = {LAPTOP}
"""
MADE = (
    "ls -d /etc/exports.d/spotcluster.exports /etc/nfs.conf.d/spotcluster.conf"
    " /etc/systemd/system/spotcluster-nfs.service /run/spotcluster/home 2>/dev/null || true;"
    " dpkg -l nfs-kernel-server 2>/dev/null | grep ^ii || true;"
    " systemctl list-unit-files --state=masked --no-legend 'rpcbind*' 'rpc-statd*' || true"
)


@pytest.fixture(scope="module")
def master(lab: Lab) -> Iterator[Machine]:
    if "nfsd" in Path("/proc/filesystems").read_text().split():
        pytest.skip("this kernel has NFS, and machines of the bed share it")
    lab.configure(CONFIG)
    lab.run("start", "-c", "alone", "-s", "1", "mycluster")
    yield lab.machine("master")
    lab.run("terminate", "-y", "mycluster")


def test_kernel_without_nfs_is_said_in_a_sentence_and_nothing_is_half_made(
    lab: Lab, master: Machine
) -> None:
    before = master.inside(MADE)
    said = lab.run("runplugin", "nfs", "mycluster", status=1)
    assert "master FAILED: its kernel (" in said
    assert "has no NFS server, so no files can be shared." in said
    assert master.inside(MADE) == before
