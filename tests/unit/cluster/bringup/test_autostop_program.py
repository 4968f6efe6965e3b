"""The program that ends an idle cluster: what it counts as work, and when it ends what."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[4] / "templates" / "autostop.py"
OURS = "10.0.0.5"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = importlib.util.spec_from_file_location("autostop", PROGRAM)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


# When.


def test_idle_node_ends_after_its_limit_and_warns_five_minutes_before(program: Any) -> None:
    countdown = program.Countdown(1000.0)
    said = []
    for minute in range(62):
        left = countdown.look(1000.0 + 60 * minute, 3600.0, busy=minute < 2)
        said += [minute] if countdown.warns(left, 3600.0) else []
    assert said == [56]  # the last work was seen at 1
    assert left == 0.0


def test_work_postpones_the_end_and_the_warning_is_said_again(program: Any) -> None:
    countdown = program.Countdown(0.0)
    assert countdown.warns(countdown.look(3400.0, 3600.0, busy=False), 3600.0)
    assert not countdown.warns(countdown.look(3500.0, 3600.0, busy=False), 3600.0)
    assert countdown.look(3599.0, 3600.0, busy=True) == 3600.0
    assert countdown.look(7100.0, 3600.0, busy=False) == 99.0
    assert countdown.warns(99.0, 3600.0)


def test_short_limit_warns_at_half_of_it(program: Any) -> None:
    countdown = program.Countdown(0.0)
    assert not countdown.warns(countdown.look(20.0, 60.0, busy=False), 60.0)
    assert countdown.warns(countdown.look(30.0, 60.0, busy=False), 60.0)


def test_off_never_ends(program: Any) -> None:
    countdown = program.Countdown(0.0)
    assert countdown.look(1e9, 0.0, busy=False) is None
    assert countdown.look(1e9 + 10, 3600.0, busy=False) == 3590.0  # from when it is on again


def test_what_cannot_be_found_out_is_work_but_not_for_ever(program: Any) -> None:
    countdown = program.Countdown(0.0)
    left = [countdown.look(600.0 * n, 3600.0, busy=False, sure=False) for n in range(1, 13)]
    assert left[:5] == [3600.0] * 5  # an hour long
    assert left[-1] <= 0


# What is work.


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    folder.mkdir()
    return folder


def process(
    proc: Path, pid: int, parent: int, name: str, *, address: str = "", sid: int = 0, tty: int = 0
) -> None:
    own = proc / str(pid)
    own.mkdir()
    reached = f"SSH_CONNECTION=198.51.100.7 5022 {address} 22\0" if address else ""
    (own / "environ").write_bytes(f"HOME=/home/me\0{reached}".encode())
    (own / "stat").write_text(f"{pid} ({name}) S {parent} {pid} {sid or pid} {tty} -1 0\n")
    (own / "comm").write_text(f"{name}\n")


def test_machine_where_nobody_is_has_no_session(program: Any, proc: Path) -> None:
    process(proc, 1, 0, "systemd")
    process(proc, 50, 1, "sshd")
    process(proc, 60, 50, "sshd")  # a tunnel alone
    process(proc, 70, 1, "python")
    assert program.sessions(OURS, proc) == []


@pytest.mark.parametrize(
    ("tty", "said"), [(34816, "a login"), (0, "a command or transfer over SSH")]
)
def test_who_is_logged_in_is_seen(program: Any, proc: Path, tty: int, said: str) -> None:
    process(proc, 1, 0, "systemd")
    process(proc, 60, 1, "sshd")
    process(proc, 61, 60, "bash", address=OURS, tty=tty)
    process(proc, 62, 61, "vim (odd) name", address=OURS, sid=61, tty=tty)
    assert program.sessions(OURS, proc) == [said]


def test_session_of_another_host_on_this_computer_is_not_ours(program: Any, proc: Path) -> None:
    process(proc, 60, 1, "python")
    process(proc, 61, 60, "bash", address="10.0.0.6", tty=34816)
    assert program.sessions(OURS, proc) == []


def test_what_a_session_left_behind_is_nobody_and_a_program_in_tmux_is(
    program: Any, proc: Path
) -> None:
    process(proc, 1, 0, "systemd")
    process(proc, 80, 1, "ssh-agent", address=OURS)
    process(proc, 90, 1, "tmux: server", address=OURS)
    process(proc, 91, 90, "bash", address=OURS, tty=34817)
    assert program.sessions(OURS, proc) == []
    process(proc, 92, 91, "python", address=OURS, sid=91, tty=34817)
    assert program.sessions(OURS, proc) == ["a program in tmux or screen"]


def test_tasks_are_seen_by_how_old_the_controllers_sign_is(program: Any, tmp_path: Path) -> None:
    assert program.tasks(1e9) == []
    sign = tmp_path / ".spotcluster" / "tasks"
    sign.parent.mkdir()
    sign.touch()
    os.utime(sign, (1e9 - 20, 1e9 - 20))
    assert program.tasks(1e9) == ["tasks at the controller"]
    assert program.tasks(1e9 + 100) == []


def test_job_runs_as_long_as_somebody_holds_it(program: Any, tmp_path: Path) -> None:
    folder = tmp_path / ".spotcluster" / "jobs" / "3"
    folder.mkdir(parents=True)
    (folder / "begun.json").write_text("{}")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert program.jobs() == ["job 3"]
        (folder / "end.json").write_text("{}")
        assert program.jobs() == []
        (folder / "end.json").unlink()
    assert program.jobs() == []  # lost, with its machine


@pytest.fixture
def jupyter(tmp_path: Path) -> Iterator[list[str]]:
    """Serve as JupyterLab, with kernels in these states."""
    states: list[str] = []

    class Kernels(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers["Authorization"] == "token secret"
            self.send_response(200 if allowed else 403)
            self.end_headers()
            self.wfile.write(json.dumps([{"execution_state": one} for one in states]).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Kernels)
    own = tmp_path / ".spotcluster" / "notebook"
    own.mkdir(parents=True)
    (own / "port").write_text(f"{server.server_port}\n")
    (own / "token").write_text("secret\n")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield states
    server.shutdown()
    thread.join()
    server.server_close()


def test_notebook_that_computes_is_work_and_one_that_is_open_is_not(
    program: Any, jupyter: list[str]
) -> None:
    jupyter += ["idle", "starting"]
    assert program.kernels() == []
    jupyter += ["busy"]
    assert program.kernels() == ["1 busy notebook kernel(s)"]


def test_notebook_that_was_stopped_is_no_work(program: Any, jupyter: list[str]) -> None:
    (program.ROOT / "notebook" / "port").write_text("1")
    assert program.kernels() == []


# The service.


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a host whose shutdown and ssh write down how they were called."""
    own = tmp_path / "own"
    own.mkdir()
    for name in ("shutdown", "ssh"):
        path = own / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/called\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{own}:{os.environ['PATH']}")
    return tmp_path


def watch(program: Any, host: Path, **changes: Any) -> Any:
    settings = {
        "cluster": "mycluster",
        "idle": 600,
        "is_master": True,
        "address": "127.7.7.7",
        "account": "me",
        "login": "me",
        "units": False,
        "postponed": "",
        **changes,
    }
    (host / "autostop.json").write_text(json.dumps(settings))
    found = program.Watch(host)
    found.countdown = program.Countdown(0.0)
    return found


def called(host: Path) -> list[str]:
    there = host / "called"
    return there.read_text().splitlines() if there.exists() else []


def state(host: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((host / "autostop.state").read_text())
    return found


def test_master_that_is_idle_shuts_its_workers_down_and_then_itself(
    program: Any, host: Path
) -> None:
    names = host / ".ssh" / "spotcluster"
    names.mkdir(parents=True)
    (names / "node001.conf").touch()
    watching = watch(program, host)
    watching.look(599.0)
    assert (called(host), state(host)["left"]) == ([], 1.0)
    watching.look(600.0)
    first, last = called(host)
    assert first.startswith("ssh -n -o BatchMode=yes -o ConnectTimeout=10 node001 ")
    assert last == "shutdown -h now"


def test_autostop_command_postpones_the_end(program: Any, host: Path) -> None:
    watching = watch(program, host)
    watching.look(599.0)
    watch(program, host, postponed="1f")
    watching.look(600.0)
    assert (state(host)["left"], state(host)["busy"]) == (600.0, ["it was postponed"])
    watching.look(1199.0)
    assert called(host) == []
    watching.look(1200.0)
    assert called(host) == ["shutdown -h now"]


def test_worker_ends_itself_when_its_master_has_been_gone_so_long(program: Any, host: Path) -> None:
    with program.socket.create_server(("127.0.0.1", 0)) as master:
        where = {"address": "127.0.0.1", "port": master.getsockname()[1]}
        (host / "master.json").write_text(json.dumps(where))
        watching = watch(program, host, is_master=False)
        watching.look(5000.0)
    assert state(host)["left"] == 600.0
    watching.look(5599.0)
    assert called(host) == []
    watching.look(5600.0)
    assert called(host) == ["shutdown -h now"]


def test_computer_under_a_local_host_is_never_shut_down(
    program: Any, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program.shutil, "which", lambda name: f"/usr/sbin/{name}")
    watching = watch(program, host)
    watching.look(600.0)
    assert called(host) == []


def test_ceiling_ends_a_node_whatever_runs_there_and_holds_over_a_restart_of_the_service(
    program: Any, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "sessions", lambda address: ["a login"])
    watch(program, host, idle=0, ceiling=3600.0, set=1.0).look(100.0)
    assert state(host)["ceiling"] == 3600.0
    again = watch(program, host, idle=0, ceiling=3600.0, set=1.0)
    again.look(3699.0)
    assert (called(host), state(host)["ceiling"]) == ([], 1.0)
    watch(program, host, idle=600)  # said anew, without a word of the ceiling
    again.look(3700.0)
    assert called(host) == ["shutdown -h now"]


def test_ceiling_that_is_said_anew_holds_from_then(program: Any, host: Path) -> None:
    watching = watch(program, host, idle=0, ceiling=3600.0, set=1.0)
    watching.look(0.0)
    watch(program, host, idle=0, ceiling=600.0, set=2.0)
    watching.look(1000.0)
    assert state(host)["ceiling"] == 600.0
    watching.look(1600.0)
    assert called(host) == ["shutdown -h now"]


def test_machine_of_its_own_gets_a_timer_that_needs_no_service(
    program: Any, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        asked.append(command)
        return program.subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(program.subprocess, "run", run)
    watch(program, host, idle=0, units=True, ceiling=90.5, set=1.0).look(0.0)
    assert [one[0] for one in asked] == ["systemctl", "systemd-run"]
    assert "--on-active=90" in asked[1]
