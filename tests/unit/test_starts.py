"""A process is known by its start, whatever happens to the clock."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from spotcluster import files, starts
from spotcluster.cluster import owner
from spotcluster.local import processes, record
from spotcluster.local.host.layout import Running
from spotcluster.search.results import locks

Step = Callable[[], None]
on_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="starts are Linux's")


@pytest.fixture(params=[-7 * 24 * 3600.0, -5.0, 3.0, 3600.0], ids="{:+.0f}s".format)
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Step:
    """Set the clock by so much after something was written down, as psutil then sees starts."""
    real = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda own: real(own) + stepped[0])
    stepped = [0.0]

    def set_clock() -> None:
        stepped[0] = request.param

    return set_clock


@on_linux
def test_a_daemon_is_alive_after_the_clock_was_set(tmp_path: Path, step: Step) -> None:
    record.write(tmp_path, "http://127.0.0.1:4321")
    step()
    found = record.read(tmp_path)
    assert found is not None
    assert found.is_alive()


@on_linux
def test_a_host_is_alive_after_the_clock_was_set(step: Step) -> None:
    me = psutil.Process()
    running = Running(me.pid, starts.start_of(me), "127.0.0.2", 22)
    step()
    assert processes.server_of(running) == me


@on_linux
def test_who_adds_nodes_is_alive_after_the_clock_was_set(step: Step) -> None:
    me = owner.myself()
    step()
    assert owner.has_died(me) is False
    assert owner.myself() == me


@on_linux
def test_who_writes_a_ledger_is_alive_after_the_clock_was_set(step: Step) -> None:
    who = {"pid": os.getpid(), "began": starts.start_of(psutil.Process())}
    step()
    assert locks._lives(who)


@on_linux
@pytest.mark.parametrize("part", ["boot", "ticks"])
def test_the_same_number_after_another_boot_or_start_is_another_process(part: str) -> None:
    me = psutil.Process()
    boot, ticks = starts.start_of(me).split(":")
    other = f"{boot[::-1]}x:{ticks}" if part == "boot" else f"{boot}:{int(ticks) + 1}"
    assert starts.is_of(me, f"{boot}:{ticks}")
    assert not starts.is_of(me, other)
    computer, pid, _ = owner.myself().split("/")
    assert owner.has_died(f"{computer}/{pid}/{other}") is True


def test_what_former_versions_wrote_is_still_understood(tmp_path: Path) -> None:
    me = psutil.Process()
    told = {"pid": me.pid, "created": me.create_time(), "url": "http://127.0.0.1:4321"}
    files.write_private(tmp_path / "daemon.json", json.dumps(told))
    found = record.read(tmp_path)
    assert found is not None
    assert found.is_alive()
    name = f"{owner.this_computer()}/{me.pid}/{me.create_time():.2f}"
    assert owner.has_died(name) is False
    assert owner.has_died(f"{owner.this_computer()}/{me.pid}/1.0") is True
    assert locks._lives({"pid": me.pid, "began": me.create_time()})


def test_a_process_of_a_name_with_brackets_and_spaces(tmp_path: Path) -> None:
    program = tmp_path / "a) b (c"
    program.symlink_to("/bin/sleep")
    with psutil.Popen([program, "60"]) as process:
        start = starts.start_of(process)
        assert starts.is_of(process, start)
        assert not starts.is_of(psutil.Process(), start)
        process.kill()
    with pytest.raises(psutil.NoSuchProcess):
        starts.start_of(process)
