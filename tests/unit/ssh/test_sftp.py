"""Files over SFTP."""

from __future__ import annotations

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paramiko
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from spotcluster import ssh
from spotcluster.errors import ConnectionFailed, NodeError, UsageError
from spotcluster.ssh import sftp

from .conftest import Server


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_put_makes_a_private_file_in_private_folders(
    server: Server, connection: ssh.Connection
) -> None:
    connection.put(b"secret", "~/a/b/file")
    assert (server.home / "a/b/file").read_bytes() == b"secret"
    assert mode_of(server.home / "a/b/file") == 0o600
    assert mode_of(server.home / "a") == mode_of(server.home / "a/b") == 0o700
    assert names_in(server.home / "a/b") == ["file"]


def test_put_leaves_folders_that_are_there_alone(
    server: Server, connection: ssh.Connection
) -> None:
    (server.home / "open").mkdir(mode=0o755)
    connection.put(b"x", "open/file", mode=0o644)
    assert mode_of(server.home / "open") == 0o755
    assert mode_of(server.home / "open/file") == 0o644


def test_put_replaces_a_file(server: Server, connection: ssh.Connection) -> None:
    connection.put(b"old and long", "file", mode=0o640)
    connection.put(b"new", "~/file")
    assert (server.home / "file").read_bytes() == b"new"
    assert mode_of(server.home / "file") == 0o600


def test_put_follows_absolute_paths(connection: ssh.Connection, tmp_path: Path) -> None:
    connection.put(b"x", str(tmp_path / "made" / "file"))
    assert (tmp_path / "made" / "file").read_bytes() == b"x"


def test_put_takes_a_file_of_this_computer(
    server: Server, connection: ssh.Connection, tmp_path: Path
) -> None:
    raw = os.urandom(3_000_001)
    (tmp_path / "local").write_bytes(raw)
    connection.put(tmp_path / "local", "far")
    assert (server.home / "far").read_bytes() == raw
    assert connection.get("far") == raw


def test_put_of_a_missing_local_file_is_a_usage_error(
    server: Server, connection: ssh.Connection, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="on this computer cannot be read"):
        connection.put(tmp_path / "nope", "far")
    assert names_in(server.home) == []


@pytest.mark.parametrize("name", ["", "~/", "folder/", ".", "~/..", "a\0b"])
def test_put_refuses_what_is_no_file_name(connection: ssh.Connection, name: str) -> None:
    with pytest.raises(UsageError):
        connection.put(b"x", name)


def test_failed_put_leaves_nothing_aside(server: Server, connection: ssh.Connection) -> None:
    (server.home / "taken").mkdir()
    with pytest.raises(NodeError, match="node001: writing taken failed"):
        connection.put(b"x", "taken")
    assert names_in(server.home) == ["taken"]


def test_put_below_a_file_fails(server: Server, connection: ssh.Connection) -> None:
    (server.home / "file").touch()
    with pytest.raises(NodeError, match="writing file/under failed"):
        connection.put(b"x", "file/under")


def test_get_of_a_missing_file_is_told(connection: ssh.Connection) -> None:
    with pytest.raises(NodeError, match=r"node001: reading ~/nope failed: No such file") as caught:
        connection.get("~/nope")
    assert "home" in caught.value.hint


def test_get_of_an_empty_file(server: Server, connection: ssh.Connection) -> None:
    (server.home / "empty").touch()
    assert connection.get("empty") == b""


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="only Linux has /proc")
def test_get_of_a_file_that_tells_no_size(connection: ssh.Connection) -> None:
    assert connection.get("/proc/version") == Path("/proc/version").read_bytes()


def test_many_threads_write_below_one_new_folder(
    server: Server, connection: ssh.Connection
) -> None:
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda n: connection.put(b"%d" % n, f"new/deep/{n}"), range(24)))
    assert len(names_in(server.home / "new/deep")) == 24


def test_folder_that_another_thread_makes_after_we_missed_it_is_no_error(
    server: Server, connection: ssh.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = sftp._make_folders

    def late(client: Any, folder: bytes) -> None:
        (server.home / "new").mkdir()
        make(client, folder)

    monkeypatch.setattr(sftp, "_make_folders", late)
    connection.put(b"x", "new/file")
    assert (server.home / "new" / "file").read_bytes() == b"x"


def test_lost_connection_is_told(server: Server, connection: ssh.Connection) -> None:
    server.drop_connections()
    with pytest.raises(ConnectionFailed, match="lost"):
        connection.get("x")


_NAMES = st.text(
    st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1
).filter(lambda name: name not in {".", ".."} and len(name.encode()) <= 255)


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(name=_NAMES, data=st.binary(max_size=100))
@example(name="-rf", data=b"x")
@example(name="a b'c\"d\n$e*", data=b"x")
@example(name="~", data=b"x")
@example(name="ä" * 127, data=b"x")
def test_names_are_just_names(
    server: Server, connection: ssh.Connection, name: str, data: bytes
) -> None:
    connection.put(data, f"~/names/{name}")
    assert names_in(server.home / "names") == [name]
    assert connection.get(f"names/{name}") == data
    (server.home / "names" / name).unlink()


def test_no_threads_stay(server: Server) -> None:
    before = set(threading.enumerate())
    with ssh.connect(server.target, timeout=120) as connection:
        connection.put(b"x" * 100_000, "file")
        connection.get("file")
        connection.run("true")
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert set(threading.enumerate()) <= before


def test_profile_that_prints_is_named_as_what_breaks_sftp() -> None:
    said = sftp.hint(paramiko.SFTPError("Garbage packet received"))
    assert "profile prints something" in said
