"""Private files, whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from spotcluster import files
from spotcluster.errors import UsageError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_home_is_where_the_environment_says(spotcluster_home: Path) -> None:
    assert files.home() == spotcluster_home


def test_private_dir_is_for_its_owner_only(spotcluster_home: Path) -> None:
    path = files.private_dir("a", "b")
    assert mode(path) == mode(path.parent) == 0o700


def test_write_private_replaces_whole_and_private(spotcluster_home: Path) -> None:
    path = spotcluster_home / "sub" / "file"
    files.write_private(path, "one")
    files.write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_leaves_the_old_file_and_nothing_else(
    spotcluster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = spotcluster_home / "file"
    files.write_private(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_private(path, "new")
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_writer_left_aside_stayed_when_its_file_was_removed(
    spotcluster_home: Path,
) -> None:
    written = [spotcluster_home / "hosts" / name for name in ("my", "my.own", "other")]
    for path in written:
        files.write_private(path, "key")
        (path.parent / f".{path.name}.l7vxm8on").touch()
    files.remove(written[0])
    files.remove(spotcluster_home / "hosts" / "never")
    left = sorted(path.name for path in (spotcluster_home / "hosts").iterdir())
    assert left == [".my.own.l7vxm8on", ".other.l7vxm8on", "my.own", "other"]


def test_a_folder_of_ours_that_others_could_read_is_closed(spotcluster_home: Path) -> None:
    (spotcluster_home / "keys").mkdir()
    (spotcluster_home / "keys").chmod(0o755)
    spotcluster_home.chmod(0o777)
    files.private_dir("keys")
    assert (mode(spotcluster_home), mode(spotcluster_home / "keys")) == (0o700, 0o700)


def test_a_folder_of_somebody_else_is_refused(
    spotcluster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = spotcluster_home.stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    with pytest.raises(UsageError, match="belongs to another user"):
        files.private_dir("keys")


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602])
def test_a_private_file_that_others_could_touch_is_not_trusted(
    spotcluster_home: Path, bits: int
) -> None:
    path = spotcluster_home / "file"
    files.write_private(path, "secret")
    assert files.read_private(path) == b"secret"
    path.chmod(bits)
    with pytest.raises(UsageError, match="not for its owner only") as refused:
        files.read_private(path)
    assert "chmod 600" in refused.value.hint
    assert "secret" not in str(refused.value)


def test_every_folder_that_is_made_is_for_its_owner_only(spotcluster_home: Path) -> None:
    path = spotcluster_home / "known_hosts" / "us-east-1" / "mycluster"
    files.write_private(path, "keys")
    assert {mode(folder) for folder in (path.parent, path.parent.parent)} == {0o700}
