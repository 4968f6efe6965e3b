"""Trees of files to a machine and from it: put and get, over a real SSH server."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from spotcluster import assembly, ssh
from spotcluster.errors import ConnectionFailed, NodeError, SpotclusterError, UsageError
from spotcluster.ssh import transfer
from spotcluster.ssh.copying import wire
from spotcluster.ssh.copying.wire import Watch

from .conftest import Server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of this computer with a few files."""
    made = tmp_path / "here"
    (made / "b").mkdir(parents=True)
    (made / "b/file").write_bytes(os.urandom(1_000_000))
    (made / "-rf \n'\"").write_bytes(b"x")
    (made / "link").symlink_to("b/file")
    return made


def programs(folder: Path, **scripts: str) -> str:
    """Return a PATH of a folder with these scripts, and nothing else."""
    folder.mkdir()
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    for name in ("bash", "env", "sh"):
        (folder / name).symlink_to(f"/usr/bin/{name}")
    return str(folder)


def change_what_is_sent(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """Let the program at the other end have `new` where ours has `old`."""
    sources = assembly.sources("spotcluster.ssh.copying")
    assert sum(old in text for _, text in sources) == 1
    changed = [(name, text.replace(old, new)) for name, text in sources]
    monkeypatch.setattr(assembly, "sources", lambda _: changed)


def test_folder_goes_and_comes_back(
    server: Server, connection: ssh.Connection, folder: Path, tmp_path: Path
) -> None:
    report = transfer.put(connection, [folder], "~/there")
    assert (report.failed, report.left_out) == ((), ())
    assert sorted(one.name for one in report.files) == ["here/-rf \n'\"", "here/b/file"]
    assert (server.home / "there/link").readlink() == Path("b/file")
    back = transfer.get(connection, ["there"], tmp_path / "back")
    assert {one.digest for one in back.files} == {one.digest for one in report.files}
    assert (tmp_path / "back/b/file").read_bytes() == (folder / "b/file").read_bytes()
    assert (back.size, back.sent) == (1_000_001, 1_000_001)


def test_one_session_serves_any_number_of_files(
    server: Server, connection: ssh.Connection, tmp_path: Path
) -> None:
    for n in range(300):
        (tmp_path / f"{n}").write_bytes(b"%d" % n)
    transfer.put(connection, [tmp_path / f"{n}" for n in range(300)], "many/")
    transfer.get(connection, ["many/*"], f"{tmp_path}/back/")
    assert len(list((tmp_path / "back").iterdir())) == 300
    assert len(server.commands) == 2


def test_names_and_content_are_in_no_command_line(
    server: Server, connection: ssh.Connection, folder: Path
) -> None:
    transfer.put(connection, [folder], "s3cret")
    assert all("s3cret" not in line and "here" not in line for line in server.commands)


def test_login_that_prints_before_us_is_no_matter(
    server: Server, connection: ssh.Connection, folder: Path, tmp_path: Path
) -> None:
    server.prints_before = b"Welcome!\r\n" * 100
    transfer.put(connection, [folder], "there")
    transfer.get(connection, ["there"], tmp_path / "back")
    assert (tmp_path / "back/b/file").exists()


def test_environment_of_the_login_does_not_change_the_program(
    server: Server, connection: ssh.Connection, folder: Path, tmp_path: Path
) -> None:
    (server.home / "json.py").write_text("raise SystemExit(9)")
    server.environment = {"PYTHONPATH": str(server.home), "LC_ALL": "C", "PYTHONUTF8": "0"}
    (folder / "ä").write_bytes(b"x")
    transfer.put(connection, [folder], "there")
    assert (server.home / "there/ä").exists()


def test_what_is_wrong_on_this_computer_is_a_usage_error(
    server: Server, connection: ssh.Connection, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="On this computer, there is no 'nope'"):
        transfer.put(connection, ["nope"], "there")
    assert list(server.home.iterdir()) == []
    (server.home / "f").write_bytes(b"x")
    with pytest.raises(SpotclusterError, match="On this computer, there is no folder"):
        transfer.get(connection, ["f"], tmp_path / "no/such/f")


def test_what_is_wrong_on_the_machine_names_it(
    server: Server, connection: ssh.Connection, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(NodeError, match=r"node001: there is no '~nope\\x1b\[2J'"):
        transfer.get(connection, ["~nope\x1b[2J"], tmp_path)
    with pytest.raises(NodeError, match="node001: there is no folder 'no/such'") as caught:
        transfer.put(connection, [folder], "no/such/x")
    assert "home" in caught.value.hint
    with pytest.raises(NodeError, match="node001: '' is not a file name"):
        transfer.put(connection, [folder], "")


def test_large_copy_that_the_machine_refuses_ends_at_once(
    server: Server, connection: ssh.Connection, tmp_path: Path
) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 43)  # more than any disk has room for; nothing of it goes over
    with pytest.raises(NodeError, match="node001: the disk of 'there' has no room"):
        transfer.put(connection, [tmp_path / "large"], "there")


def test_connection_that_is_lost_is_told_and_the_rest_comes_later(
    server: Server, connection: ssh.Connection, tmp_path: Path
) -> None:
    whole = os.urandom(8_000_000)
    (tmp_path / "f").write_bytes(whole)

    class Cutter(Watch):
        done = 0

        def moved(self, size: int) -> None:
            self.done += size
            if self.done > 6_000_000:
                server.drop_connections()

    with pytest.raises(ConnectionFailed, match="was lost during the copy") as caught:
        transfer.put(connection, [tmp_path / "f"], "f", progress=Cutter())
    assert "same command again" in caught.value.hint
    assert not (server.home / "f").exists()
    with ssh.connect(server.target, timeout=120) as again:
        report = transfer.put(again, [tmp_path / "f"], "f")
    assert (server.home / "f").read_bytes() == whole
    assert report.sent < len(whole)
    assert [path.name for path in server.home.iterdir()] == ["f"]


def test_interrupted_get_goes_on(
    server: Server, connection: ssh.Connection, tmp_path: Path
) -> None:
    (server.home / "d").mkdir()
    for n in range(4):
        (server.home / f"d/{n}").write_bytes(os.urandom(1_000_000))

    class Interrupt(Watch):
        done = 0

        def moved(self, size: int) -> None:
            self.done += size
            if self.done > 2_500_000:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transfer.get(connection, ["d"], tmp_path / "back", progress=Interrupt())
    assert not (tmp_path / "back").exists()
    report = transfer.get(connection, ["d"], tmp_path / "back")
    assert report.sent < 2_000_000
    assert len(report.files) == 4
    assert connection.alive


def test_machine_without_python_is_told(
    server: Server, connection: ssh.Connection, folder: Path, tmp_path: Path
) -> None:
    server.environment = {"PATH": programs(tmp_path / "bin")}
    with pytest.raises(NodeError, match="node001: it has no Python 3"):
        transfer.put(connection, [folder], "there")


def test_program_that_dies_is_told_with_its_last_words(
    server: Server, connection: ssh.Connection, folder: Path, tmp_path: Path
) -> None:
    server.environment = {"PATH": programs(tmp_path / "bin", python3="echo Killed >&2; exit 9")}
    with pytest.raises(NodeError, match="node001: its end of the copy ended with status 9: Killed"):
        transfer.put(connection, [folder], "there")


def test_other_user_is_become_by_sudo(
    server: Server, connection: ssh.Connection, folder: Path, tmp_path: Path
) -> None:
    asked = f'printf "%s " "$@" >{tmp_path}/asked'
    sudo = f'{asked}; while [ "$1" != -- ]; do shift; done; shift; exec "$@"'
    path = programs(tmp_path / "bin", sudo=sudo, python3=f'exec {sys.executable} "$@"')
    server.environment = {"PATH": path}
    transfer.put(connection, [folder], "there", user="ipuser")
    assert (tmp_path / "asked").read_text().startswith("-n -H -u ipuser -- env sh -c ")
    assert (server.home / "there/b/file").exists()
    server.environment = {"PATH": programs(tmp_path / "bin2", sudo="echo no >&2; exit 1")}
    with pytest.raises(NodeError, match="node001: nothing could be started as root: no"):
        transfer.put(connection, [folder], "there", user="root")


def test_silent_machine_is_given_up(
    server: Server,
    connection: ssh.Connection,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transfer, "ANSWER", 0.5)
    server.environment = {"PATH": programs(tmp_path / "bin", python3="exec /bin/sleep 30")}
    with pytest.raises(NodeError, match="said nothing"):
        transfer.put(connection, [folder], "there")


def test_nodes_end_that_hears_nothing_ends(
    server: Server, connection: ssh.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, short = "SILENCE = 30.0", "SILENCE = 0.1"
    sources = [
        (name, text.replace(long, short))
        for name, text in assembly.sources("spotcluster.ssh.copying")
    ]
    monkeypatch.setattr(assembly, "sources", lambda _: sources)
    with (
        pytest.raises(NodeError, match="ended with status 75"),
        transfer.opened(connection, {"what": "take", "dest": "there"}, None) as pipe,
    ):
        pipe.receive()


def test_hostile_machine_writes_nothing_outside(
    server: Server, connection: ssh.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (server.home / "data").mkdir()
    (server.home / "data/f").write_bytes(b"x")
    honest = "name, target = to_wire(self.name)"
    evil = f"{honest}.replace('data/f', 'data/../../evil')"
    sources = [
        (name, text.replace(honest, evil))
        for name, text in assembly.sources("spotcluster.ssh.copying")
    ]
    monkeypatch.setattr(assembly, "sources", lambda _: sources)
    (tmp_path / "dest").mkdir()
    with pytest.raises(NodeError, match="which is not allowed") as caught:
        transfer.get(connection, ["data"], tmp_path / "dest")
    assert "do not trust" in caught.value.hint
    assert [path.name for path in tmp_path.rglob("*")] == ["dest"]


def test_report_raises_what_failed_if_asked() -> None:
    transfer.Report(()).check("master")
    with pytest.raises(NodeError, match=r"master: 'a' could not be copied: gone \(and 1 more\)"):
        transfer.Report((), (), (("a", "gone"), ("b", "gone"))).check("master")


def test_machine_gives_us_up_before_we_give_it_up() -> None:
    assert wire.SILENCE < transfer.ANSWER
