"""The plugin `nfs` on machines that boot, on a kernel without NFS: it says so, and that is all.

What looks after what is mounted runs here too, as it is, with stand-ins for the programs that ask
the kernel; ``tests/nfs`` has kernels with NFS.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotcluster import templates
from spotcluster.plugins import sharing
from spotcluster.plugins.sharing import Mount

from .bed.lab import Lab
from .bed.machine import Machine, wait_until
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
STAND_INS = Path(__file__).with_name("stand_ins.sh")
PLACE = "/opt/stand-ins"
SERVER = (
    "import socket; s = socket.create_server(('127.0.0.1', 2049))\nwhile 1: s.accept()[0].close()"
)
PATHS = ("/shared/home", "/shared/data")


@pytest.fixture(scope="module")
def master(lab: Lab) -> Iterator[Machine]:
    lab.configure(CONFIG)
    lab.run("start", "-c", "alone", "-s", "1", "mycluster")
    yield lab.machine("master")
    lab.run("terminate", "-y", "mycluster")


def test_kernel_without_nfs_is_said_in_a_sentence_and_nothing_is_half_made(
    lab: Lab, master: Machine
) -> None:
    if "nfsd" in Path("/proc/filesystems").read_text().split():
        pytest.skip("this kernel has NFS, and machines of the bed share it")
    before = master.inside(MADE)
    said = lab.run("runplugin", "nfs", "mycluster", status=1)
    assert "master FAILED: its kernel (" in said
    assert "has no NFS server, so no files can be shared." in said
    assert master.inside(MADE) == before


@pytest.fixture
def watched(master: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """The machine with a unit of the product's that looks after two mounts of its own server's."""
    monkeypatch.setattr(sharing, "_SILENCE", 3)
    master.inside(f"bash -eu -s {PLACE} <<'STAND_INS'\n{STAND_INS.read_text()}\nSTAND_INS")
    serving = f"systemd-run --quiet --unit=served python3 -c {shlex.quote(SERVER)}"
    unit = "/run/systemd/system/spotcluster-watched.service.d"
    path = f"{PLACE}:/usr/sbin:/usr/bin:/sbin:/bin"
    drop_in = f"mkdir -p {unit}; printf '[Service]\\nEnvironment=PATH={path}\\n' >{unit}/path.conf"
    mounts = [Mount(one, f"localhost:{one}", "vers=4.2", "localhost") for one in PATHS]
    step = sharing.mounting("watched", mounts)
    script = f"set -euo pipefail\n{serving}\n{drop_in}\nexport PATH={path}\n{step.script}"
    master.inside(f"bash -s <<'STEP'\n{script}\nSTEP")
    yield master
    release = templates.script("shared_release.sh", service="watched", ends=True)
    master.inside(f"export PATH={path}; {release}\nsystemctl stop served; rm -r {PLACE} {unit}")


def mounted(machine: Machine) -> list[str]:
    return machine.inside(f"/usr/bin/awk '{{ print $5 }}' {PLACE}/table").split()


def journal(machine: Machine) -> str:
    return machine.inside("journalctl -q -o cat -u spotcluster-watched")


def test_silent_server_is_let_go_of_and_its_files_come_back_with_it(watched: Machine) -> None:
    assert mounted(watched) == [*PATHS]
    watched.inside(f"touch {PLACE}/gone")
    wait_until("it to be let go of", lambda: "no answer for" in journal(watched))
    assert mounted(watched) == []
    log = watched.inside(f"cat {PLACE}/log")
    for path in PATHS:  # who waits is woken, and only then is it taken from its place
        woken, taken = log.index(f"umount -i -f {path}"), log.index(f"umount -i -l {path}")
        assert woken < taken
    assert watched.inside("systemctl is-active spotcluster-watched").split() == ["active"]
    watched.inside(f"rm {PLACE}/gone")
    wait_until("it to be mounted", lambda: "mounted again" in journal(watched))
    assert mounted(watched) == [*PATHS]
    # The same where nobody listens, as on a machine that has booted and does not serve yet.
    watched.inside("systemctl stop served")
    wait_until("it to be let go of again", lambda: journal(watched).count("no answer for") == 2)
    assert mounted(watched) == []


def test_looking_after_it_starts_one_process_for_each_look(watched: Machine) -> None:
    # In a namespace of its own, whose kernel counts the processes. That of the unit goes on.
    script = "\n".join(
        [
            f"export PATH={PLACE}:/usr/sbin:/usr/bin:/sbin:/bin",
            "systemctl stop spotcluster-watched; bash /etc/spotcluster/watched.sh mount",
            ": >$(dirname $(command -v mount))/log",
            "exec 3>&1 >/dev/null 2>&1",  # or it would keep what we read
            "unshare --pid --fork --kill-child bash /etc/spotcluster/watched.sh watch 3>&- &",
            "it=$!",
            f"until [ $(wc -l <{PLACE}/log) -ge 4 ]; do sleep 0.2; done",
            "within=$(cat /proc/$it/task/$it/children)",
            "nsenter -t $within -p bash -c 'echo $BASHPID' >&3",
            "kill -9 $it",  # unshare heeds no other signal
        ]
    )
    started = int(watched.inside(script).split()[-1])
    assert 4 < started <= 12  # itself, what it set itself up with, and four looks
