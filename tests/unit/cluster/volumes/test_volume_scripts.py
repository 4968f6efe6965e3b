"""What is sent to the master for its volumes, and what is understood of its answer."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from moments import A_DATE

from spotcluster import templates
from spotcluster.aws.storage import ebs
from spotcluster.cli import output
from spotcluster.cli.commands import clusters
from spotcluster.cluster.bringup.bringup import Result
from spotcluster.cluster.volumes import mounting
from spotcluster.config import Volume
from spotcluster.errors import CloudError

ID = "vol-0123456789abcdef0"
# What a path in the config can hold: no blank, nothing invisible.
parts = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp", "Cf"), exclude_characters="/"),
    min_size=1,
    max_size=20,
).filter(lambda part: part.isprintable() and not part.isspace() and part not in (".", ".."))


def attached(device: str = "/dev/sdf", size: int = 10) -> ebs.Volume:
    return ebs.Volume(
        ID, "data", size, "in-use", "a", "gp3", True, "", A_DATE, "i-1", device, "", {}
    )


@given(parts)
@example("$(touch${IFS}pwned)")
@example("`id`")
@example("'")
@example('"')
@example("-rf")
@example("*")
def test_path_comes_to_the_shell_as_it_is_now_and_at_boot(part: str) -> None:
    path = f"/mnt/{part}"
    wanted = [Volume(name="v", volume_id=ID, mount_path=path)]
    script = mounting._script(wanted, {ID: attached()}, "ipuser", format_new=True, has_units=True)
    given, unit = script.split("\nsay() {", 1)[0], script[script.rindex("\nboot=") :]
    boot = unit.split("\nhas_units=", 1)[0]
    echo = '\nprintf "%s\\0" "$format" "${ids[@]}" "${paths[@]}" "${devices[@]}" "${sizes[@]}"\n'
    shown = given + echo + boot + '\neval "${boot%%say() {*}"' + echo
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail\n" + shown], capture_output=True, check=True, cwd="/"
    )
    each = [ID, path, "/dev/sdf", "10"]
    assert done.stdout.decode().split("\0")[:-1] == ["1", *each, "0", *each]


def test_scripts_are_bash() -> None:
    wanted = [Volume(name="v", volume_id=ID, mount_path="/mnt/x")]
    script = mounting._script(wanted, {ID: attached()}, "ipuser", format_new=False, has_units=True)
    done = subprocess.run(["bash", "-n"], input=script.encode(), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_answer_of_the_master_is_understood() -> None:
    wanted = [
        Volume(name=name, volume_id=ID, mount_path=f"/{name}") for name in ("a", "b", "c", "d", "e")
    ]
    said = (
        "/a\tformatted\text4 100\n"
        "/b\tnew\tit has no file system yet\n"
        "/c\tfailed\tits device has not come up\n"
        "/d\tsmall\txfs 100 the kernel does not want to\n"
    )
    mounted, troubles, unformatted = mounting._read(said, wanted)
    assert unformatted == ["/b"]
    assert [(one.path, one.type, one.bytes, one.before) for one in mounted] == [
        ("/a", "ext4", 100, False),
        ("/d", "xfs", 100, True),
    ]
    b, c, d, e = troubles
    assert "'b'" in b
    assert "--format makes one" in b
    assert "its device has not come up" in c
    assert "could not be made as large as the volume: the kernel does not want to." in d
    assert "nothing was said of it" in e


def test_devices_are_free_ones_under_any_of_their_names() -> None:
    assert ebs.free_device(["/dev/sda1", "/dev/xvda"]) == "/dev/sdf"
    assert ebs.free_device(["/dev/sdf", "/dev/xvdg"]) == "/dev/sdh"
    with pytest.raises(CloudError, match="no name for another"):
        ebs.free_device([f"/dev/sd{letter}" for letter in "fghijklmnopqrstuvwxyz"])


def at(offset: int, data: bytes) -> Callable[[Path], None]:
    """Return what writes into a disk, from its end where the offset is negative."""

    def write(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset, 0 if offset >= 0 else 2)
            file.write(data)

    return write


def formatted(path: Path) -> None:
    subprocess.run(["mkfs.ext4", "-q", "-F", str(path)], check=True)


@pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "blkid", "mkfs.ext4"))), reason="needs blkid and mkfs.ext4"
)
@pytest.mark.parametrize(
    ("change", "is_new"),
    [
        (lambda path: None, True),
        (formatted, False),
        (at(510, b"\x55\xaa"), False),
        (at(512, b"EFI PART"), False),
        (at(-512, b"EFI PART"), False),
        (at(4096, b"x"), False),
        (at(-1, b"x"), False),
        (Path.unlink, False),
    ],
    ids=["zeros", "ext4", "mbr", "gpt", "last-of-gpt", "data", "data-at-end", "unreadable"],
)
def test_only_what_nothing_was_ever_written_to_is_new(
    tmp_path: Path, change: Callable[[Path], None], is_new: bool
) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(16 << 20)
    change(disk)
    functions = templates.read("volumes.sh").partition("\ndeadline=")[0]
    # A file stands for the disk, which tells its size by another way.
    script = f"{functions}\nblockdev() {{ echo {16 << 20}; }}\ntarget=$1\nis_new && echo new"
    done = subprocess.run(
        ["bash", "-c", f"set -uo pipefail\n{script}", "bash", str(disk)],
        capture_output=True,
        text=True,
    )
    assert done.stdout == ("new\n" if is_new else "")


def test_terminal_is_asked_about_what_turned_out_to_be_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty = mounting.Outcome(troubles=("not mounted",), unformatted=("/data",))
    cluster: Any = SimpleNamespace(master="the master")
    result = Result(cluster, (), 1.0, empty)
    asked: list[str] = []
    answers = iter([False, True])

    def ask(question: str) -> bool:
        asked.append(question)
        return next(answers)

    monkeypatch.setattr(output, "ask", ask)
    bring = Mock(return_value=mounting.Outcome())
    monkeypatch.setattr(mounting, "bring", bring)
    monkeypatch.setattr(output, "can_ask", lambda: False)
    assert clusters._offer_format(result).troubles == ["not mounted"]
    assert asked == []
    monkeypatch.setattr(output, "can_ask", lambda: True)
    assert clusters._offer_format(result).troubles == ["not mounted"]
    assert (len(asked), bring.call_count) == (1, 0)
    assert clusters._offer_format(result).troubles == []
    bring.assert_called_once_with(cluster, "the master", format_new=True)
    assert "/data" in asked[1]
