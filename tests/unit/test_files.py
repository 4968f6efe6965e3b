"""Private files, whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from spotcluster import files


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
