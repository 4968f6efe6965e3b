"""What is sent to the master for its volumes, and what is understood of its answer."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spotcluster.aws import volumes as ebs
from spotcluster.cluster import volumes
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
        ID, "data", size, "in-use", "a", "gp3", True, "", datetime.now(UTC), "i-1", device, "", {}
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
    script = volumes._script(wanted, {ID: attached()}, "ipuser", format_new=True, has_units=True)
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
    script = volumes._script(wanted, {ID: attached()}, "ipuser", format_new=False, has_units=True)
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
    mounted, troubles, unformatted = volumes._read(said, wanted)
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
