"""The program that ends an idle cluster: what it counts as work, and when it ends what."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

TEMPLATES = Path(__file__).parents[4] / "templates"
OURS = "10.0.0.5"


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, TEMPLATES / f"{name}.py")
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = load("autostop")
    monkeypatch.setattr(found, "CEILING", tmp_path / "ceiling")
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
    (own / "cmdline").write_bytes(f"{name}\0".encode())
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
        "root": False,
        "postponed": "",
        **changes,
    }
    (host / "autostop.json").write_text(json.dumps(settings))
    shutil.copy(TEMPLATES / "autostop_work.py", host)
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
    assert state(host)["left"] == 1.0
    watching.look(600.0)
    *asked, ends, last = called(host)
    assert [one.split()[-1] for one in asked] == [".spotcluster/services/autostop.state"] * 2
    assert ends.startswith("ssh -n -o BatchMode=yes -o ConnectTimeout=10 node001 sudo -n shutdown")
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
        thread = threading.Thread(target=lambda: master.accept()[0].sendall(b"SSH-2.0-x\r\n"))
        thread.start()
        where = {"address": "127.0.0.1", "port": master.getsockname()[1]}
        (host / "master.json").write_text(json.dumps(where))
        watching = watch(program, host, is_master=False)
        watching.look(5000.0)
        thread.join()
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


def test_ceiling_that_is_moved_on_by_a_keeper_postpones_nothing(program: Any, host: Path) -> None:
    watching = watch(program, host, postponed="1f")
    watching.look(0.0)
    found = json.loads((host / "autostop.json").read_text())
    del found["postponed"]
    (host / "autostop.json").write_text(json.dumps({**found, "ceiling": 3600.0, "set": 2.0}))
    watching.look(500.0)
    assert (state(host)["left"], state(host)["ceiling"]) == (100.0, 3600.0)


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_clock_that_is_wrong_or_set_meanwhile_changes_no_end(
    program: Any, host: Path, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    now = time.time()
    watching = watch(program, host, ceiling=3600.0, set=now)
    monkeypatch.setattr(program.time, "time", lambda: now + ahead)
    watching.look(0.0)
    assert (state(host)["left"], state(host)["ceiling"]) == (600.0, 3600.0)
    monkeypatch.setattr(program.time, "time", lambda: now - ahead)
    watching.look(599.0)
    assert (state(host)["left"], state(host)["ceiling"]) == (1.0, 3001.0)
    assert called(host) == []
    watching.look(600.0)
    assert called(host) == ["shutdown -h now"]


def test_machine_of_its_own_gets_a_timer_that_needs_no_service(program: Any, host: Path) -> None:
    watching = watch(program, host, idle=0, root=True, is_master=False, ceiling=90.5, set=1.0)
    watching.look(0.0)
    assert program.CEILING.read_text() == "90\n"
    watching.look(30.0)
    assert program.CEILING.read_text() == "60\n"


def test_reboot_is_no_new_life_to_a_ceiling(
    program: Any, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(program, host, idle=0, ceiling=7200.0, set=1.0).look(program.time.monotonic())
    seen = state(host)
    (host / "autostop.state").write_text(json.dumps({**seen, "ceiling": 3600.0, "boot": "former"}))
    again = watch(program, host, idle=0, ceiling=7200.0, set=1.0)
    again.look(program.time.monotonic())
    assert 3590 < state(host)["ceiling"] <= 3600
    program.CEILING.write_text("2000\n")  # it counted while the service did not run
    (host / "autostop.state").write_text(json.dumps({**seen, "ceiling": 3600.0, "boot": "former"}))
    watch(program, host, idle=0, ceiling=7200.0, set=1.0).look(program.time.monotonic())
    assert 1990 < state(host)["ceiling"] <= 2000
    (host / "autostop.state").write_text(json.dumps({**seen, "ceiling": -5.0, "boot": "former"}))
    again = watch(program, host, idle=0, ceiling=7200.0, set=1.0)
    again.look(program.time.monotonic())
    assert 890 < state(host)["ceiling"] <= 900  # `start` has time to say another


def test_ceiling_that_is_80_percent_used_up_is_said_once(
    program: Any, host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watching = watch(program, host, idle=0, ceiling=7200.0, set=1.0)
    for now in (0.0, 5700.0, 5760.0, 5790.0):
        watching.look(now)
    said = capsys.readouterr().out
    assert said.count("BUDGET or MAX_HOURS is 80% used up: this node shuts down in 24 min") == 1


# What fails.


def test_service_that_is_started_again_goes_on_counting(program: Any, host: Path) -> None:
    begin = program.time.monotonic()
    watching = watch(program, host)
    watching.countdown = program.Countdown(begin - 500.0)
    watching.look(begin)
    again = program.Watch(host)
    again.look(program.time.monotonic())
    assert state(host)["left"] <= 100.0


def test_look_that_fails_is_work_and_ends_the_node_when_it_has_failed_for_long(
    program: Any, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no")

    watching = watch(program, host)
    monkeypatch.setattr(program, "sessions", fail)
    now = iter([0.0, 0.0, 300.0, 590.0, 900.0, 1189.0, 1190.0])
    monkeypatch.setattr(program.time, "monotonic", lambda: next(now, 1190.0))
    monkeypatch.setattr(program.signal, "alarm", lambda _: None)
    left: list[float] = []

    def sleep(_: float) -> None:
        left.append(state(host)["left"])
        if called(host):
            raise KeyboardInterrupt

    monkeypatch.setattr(program.time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        watching.run()
    assert left[0] == 600.0
    assert left[-1] <= 0


def test_idle_cluster_ends_though_what_runs_cannot_be_found_out_unless_it_computes(
    program: Any, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = watch(program, host)
    monkeypatch.setattr(watching, "work", lambda: ["? tasks: no answer"])
    answers = [json.dumps({"own": [], "load": 1.0})]
    monkeypatch.setattr(watching, "on_workers", lambda _: iter(answers))
    for now in range(0, 2400, 60):
        watching.look(float(now))
    assert called(host) == []
    answers[:] = [json.dumps({"own": [], "load": 0.0}), "not read"]
    for now in range(2400, 3600, 60):
        watching.look(float(now))
    assert "shutdown -h now" in called(host)


def test_login_on_a_worker_keeps_the_cluster(
    program: Any, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The master saw its own only."""
    watching = watch(program, host)
    said = json.dumps({"own": ["a login"], "load": 0.0})
    monkeypatch.setattr(watching, "on_workers", lambda _: iter([said]))
    watching.look(600.0)
    assert (called(host), state(host)["busy"]) == ([], ["a login on a worker"])
    assert state(host)["left"] == 600.0


def test_shutdown_that_fails_is_tried_again(program: Any, host: Path) -> None:
    (host / "own" / "shutdown").write_text(f"#!/bin/sh\necho tried >>{host}/called\nexit 1\n")
    watching = watch(program, host)
    watching.look(600.0)
    watching.look(630.0)
    assert called(host) == ["tried", "tried"]


def test_master_whose_kernel_alone_answers_is_gone(program: Any, host: Path) -> None:
    with program.socket.create_server(("127.0.0.1", 0)) as frozen:
        frozen.settimeout(0)
        where = {"address": "127.0.0.1", "port": frozen.getsockname()[1]}
        (host / "master.json").write_text(json.dumps(where))
        program.PATIENCE = 0.1
        watching = watch(program, host, is_master=False)
        watching.look(600.0)
    assert called(host) == ["shutdown -h now"]


def test_who_only_looks_is_nobody_and_a_transfer_within_sshd_is_somebody(
    program: Any, proc: Path
) -> None:
    process(proc, 60, 1, "sshd")
    process(proc, 61, 60, "timeout", address=OURS)
    (proc / "61" / "cmdline").write_bytes(b"timeout\0-k\0002\000spotcluster-looks\0")
    process(proc, 62, 60, "cat", address=OURS)
    (proc / "62" / "cmdline").write_bytes(b"cat\0/etc/spotcluster/services/autostop.state\0")
    assert program.sessions(OURS, proc) == []
    process(proc, 63, 60, "sshd")
    (proc / "63" / "cmdline").write_bytes(b"sshd: ubuntu@internal-sftp\0\0")
    assert program.sessions(OURS, proc) == ["a command or transfer over SSH"]


def test_settings_that_cannot_be_read_any_more_are_those_that_were(
    program: Any, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(program, host).look(0.0)
    (host / "autostop.json").write_text("[]")
    again = program.Watch(host)
    again.countdown = program.Countdown(0.0)
    again.look(600.0)
    assert called(host) == ["shutdown -h now"]


def test_workers_that_cannot_be_told_keep_the_master_from_nothing(
    program: Any, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> Any:
        raise FileNotFoundError("ssh")

    watching = watch(program, host)
    monkeypatch.setattr(watching, "on_workers", fail)
    watching.end()
    assert called(host) == ["shutdown -h now"]


@pytest.mark.parametrize("changes", [{"ends": True}, {"at": -1e6}])
def test_host_that_comes_back_with_the_boot_of_its_computer_counts_anew(
    program: Any, host: Path, changes: dict[str, Any]
) -> None:
    """It ended again as soon as it had come back."""
    now = program.time.monotonic()
    watch(program, host).stand(now)
    was = {**state(host), "since": now - 9000.0, "sure": now - 9000.0, **changes}
    (host / "autostop.state").write_text(json.dumps(was))
    again = program.Watch(host)
    again.stand(program.time.monotonic(), unseen=True)
    assert called(host) == []
    assert state(host)["left"] > 590
