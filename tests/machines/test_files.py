"""put and get on a machine with users: who writes, who may not, a disk that is full."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .bed.image import USER
from .bed.lab import Lab
from .bed.machine import Machine

BARE = """
[cluster bare]
EXTENDS = iptemplate
CLUSTER_SIZE = 1
PLUGINS =
"""


@pytest.fixture(scope="module")
def master(lab: Lab) -> Iterator[Machine]:
    lab.configure(BARE)
    lab.run("start", "-c", "bare", "-s", "1", "mycluster")
    yield lab.machine("master")
    lab.run("terminate", "-y", "mycluster")


@pytest.fixture
def folder(lab: Lab) -> Path:
    """Return a folder that the lab's laptop sees too."""
    made = lab.folder / "files"
    (made / "d").mkdir(parents=True, exist_ok=True)
    (made / "d/f").write_text("x")
    (made / "d/f").chmod(0o640)
    return made


@pytest.mark.parametrize(
    ("words", "owner", "path"),
    [
        ((), USER, f"/home/{USER}"),
        (("-u", "ipuser"), "ipuser", "/home/ipuser"),  # who may log in
        (("-u", "games"), "games", "/usr/games"),  # who may not
        (("-u", "root"), "root", "/root"),
    ],
)
def test_files_belong_to_the_user_that_is_named(
    lab: Lab, master: Machine, folder: Path, words: tuple[str, ...], owner: str, path: str
) -> None:
    dest = "/tmp/of-games" if owner == "games" else "there"
    lab.run("put", "mycluster", *words, str(folder / "d"), dest)
    where = dest if dest.startswith("/") else f"{path}/{dest}"
    assert master.inside(f"stat -c '%U %a' {where}/f").split() == [owner, "640"]
    back = folder / f"back-{owner}"
    said = json.loads(lab.run("get", "mycluster", *words, "--json", f"{dest}/f", str(back)))
    assert (said["bytes_sent"], back.read_text()) == (1, "x")


def test_user_without_the_right_is_told_in_one_sentence(
    lab: Lab, master: Machine, folder: Path
) -> None:
    said = lab.run("put", "mycluster", str(folder / "d/f"), "/etc/evil", status=1)
    assert "master: '/etc/evil' cannot be written: Permission denied" in said
    said = lab.run("put", "mycluster", str(folder / "d"), "/etc", status=1)
    assert "master: '/etc' cannot be written: Permission denied" in said
    said = lab.run("get", "mycluster", "-u", "ipuser", "/root/x", str(folder), status=1)
    assert "master: '/root/x' cannot be read: Permission denied" in said
    said = lab.run("put", "mycluster", "-u", "nobody-such", str(folder / "d"), "x", status=1)
    assert "nothing could be started as nobody-such: sudo: unknown user" in said
    assert "evil" not in master.inside("ls /etc")


def test_disk_that_is_full_is_told_before_anything_is_sent(
    lab: Lab, master: Machine, folder: Path
) -> None:
    with (folder / "large").open("wb") as file:
        file.truncate(50_000_000)
    master.full_disk()
    try:
        said = lab.run("put", "mycluster", str(folder / "large"), "large", status=1)
        assert "master: the disk of 'large' has no room: 50 MB are needed" in said
    finally:
        master.free_disk()
    lab.run("put", "mycluster", str(folder / "large"), "large")
    assert master.inside(f"stat -c %s /home/{USER}/large") == "50000000\n"
