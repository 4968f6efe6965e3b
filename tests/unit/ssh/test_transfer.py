"""Trees of files over SSH: put and get, to a real server."""

from __future__ import annotations

from pathlib import Path

from spotcluster import ssh
from spotcluster.ssh import transfer

from .conftest import Server


def test_folder_goes_and_comes_back(
    server: Server, connection: ssh.Connection, tmp_path: Path
) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(b"x" * 1_000_000)
    (tmp_path / "a/link").symlink_to("b/file")
    said = transfer.put(connection, [tmp_path / "a"], "~/there")
    assert said.failed == ()
    assert (server.home / "there/b/file").read_bytes() == b"x" * 1_000_000
    assert (server.home / "there/link").readlink() == Path("b/file")
    said = transfer.get(connection, ["there"], tmp_path / "back")
    assert (tmp_path / "back/b/file").read_bytes() == b"x" * 1_000_000
