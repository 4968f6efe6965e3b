"""Services where there is no systemd: real processes in a home of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands import wait_until
from programs import runs

from spotcluster import templates
from spotcluster.plugins import supervisor
from spotcluster.plugins.supervisor import Supervisor
from spotcluster.steps import Step

COUNTING = """
trap 'echo clean >>"$HOME/ended"; exit 0' TERM
echo "$$" >>"$HOME/started"
while :; do sleep 0.05; done
"""


class Host:
    """A node and its account: scripts run here, with another home."""

    def __init__(self, home: Path) -> None:
        self.home = str(home)
        self.name = "me"
        self.account = self
        self.facts = SimpleNamespace(has_units=False)

    def run(self, script: str, **given: Any) -> str:
        done = subprocess.run(
            ["bash", "-c", f"set -euo pipefail\n{script}"],
            cwd=self.home,
            env={**os.environ, "HOME": self.home},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout

    def run_each(self, steps: Sequence[Step]) -> list[str]:
        return [self.run(one.script) for one in steps]

    def put(self, data: bytes, target: str, *, mode: int = 0o600) -> None:
        path = Path(self.home) / target.removeprefix("~/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    supervisor.of(made).stop("thing")  # type: ignore[arg-type]


@pytest.fixture
def own(host: Host) -> Supervisor:
    supervisor.install(host, "thing", COUNTING)  # type: ignore[arg-type]
    return supervisor.of(host)  # type: ignore[arg-type]


def started(host: Host) -> list[list[str]]:
    try:
        return [line.split() for line in (Path(host.home) / "started").read_text().splitlines()]
    except FileNotFoundError:
        return []


def test_killed_service_is_started_again(host: Host, own: Supervisor) -> None:
    own.start("thing")
    wait_until("a start", lambda: started(host))
    os.kill(int(started(host)[0][0]), signal.SIGKILL)
    wait_until("the second start", lambda: len(started(host)) == 2)
    wait_until("it to run", lambda: own.status("thing") == {"thing": True})


def test_service_was_not_known_where_the_width_of_a_terminal_cut_off_its_name(
    host: Host, own: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    own.start("thing")
    wait_until("it to run", lambda: own.status("thing") == {"thing": True})
    assert own.stop("thing") == ["thing"]


def test_service_that_runs_is_not_started_twice(host: Host, own: Supervisor) -> None:
    own.start("thing")
    wait_until("it to run", lambda: own.status("thing") == {"thing": True})
    wait_until("the start", lambda: started(host))
    own.start("thing")
    (first,) = started(host)
    # Whoever had started it again would have done so by now: each has a shell of its own.
    assert own.status("thing") == {"thing": True}
    own.start("thing")
    assert started(host) == [first]


FORMER = """
. layout.sh
file=$services/run/$1@$2
trap 'rm -f "$file"; exit 0' TERM
echo "$$ $$" >"$file"
while :; do sleep 0.05; done
"""
"""What an earlier version had beside each of several services of one name."""


def start_former(host: Host, numbers: Sequence[int]) -> None:
    services = Path(host.home) / ".spotcluster" / "services"
    (services / "run").mkdir(parents=True)
    layout = templates.read("layout.sh")
    (services / "supervise").write_text(FORMER.replace(". layout.sh", layout))
    for number in numbers:
        host.run(
            f'nohup bash "$HOME/.spotcluster/services/supervise" thing {number}'
            " >/dev/null 2>&1 </dev/null &"
        )


def test_services_that_an_earlier_version_started_are_left_alone_until_stopped(host: Host) -> None:
    own = supervisor.of(host)  # type: ignore[arg-type]
    start_former(host, [1, 2])
    running = {"thing@1": True, "thing@2": True}
    wait_until("both to run", lambda: own.status("thing") == running)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        host.run(own.retiring("thing", 46).script)
    assert refused.value.returncode == 46
    assert own.status("thing") == running
    assert sorted(own.stop("thing")) == ["thing@1", "thing@2"]
    assert own.status("thing") == {}


def test_services_that_an_earlier_version_has_left_behind_do_not_come_back(host: Host) -> None:
    own = supervisor.of(host)  # type: ignore[arg-type]
    run = Path(host.home) / ".spotcluster" / "services" / "run"
    run.mkdir(parents=True)
    (run / "thing@1").write_text("999999998 999999999\n")  # before a reboot
    host.run(own.retiring("thing", 46).script)
    assert own.status("thing") == {}


def test_stopped_service_may_clean_up_and_stays_stopped(host: Host, own: Supervisor) -> None:
    own.start("thing")
    # Known to the supervisor, and ready to clean up.
    wait_until("it to run", lambda: own.status("thing") == {"thing": True})
    wait_until("the start", lambda: started(host))
    assert own.stop("thing") == ["thing"]
    assert (Path(host.home) / "ended").read_text() == "clean\n"
    assert own.status("thing") == {}
    assert own.stop("thing") == []


def test_service_that_does_not_end_is_killed_with_what_it_started(host: Host) -> None:
    script = "trap '' TERM\nsleep 300 &\necho $! >\"$HOME/child\"\nwhile :; do sleep 1; done\n"
    supervisor.install(host, "thing", script)  # type: ignore[arg-type]
    own = supervisor.of(host)  # type: ignore[arg-type]
    own.start("thing")
    child = Path(host.home) / "child"
    wait_until("the child", lambda: child.exists() and child.read_text().strip())
    wait_until("it to run", lambda: own.status("thing") == {"thing": True})
    own.stop("thing")
    wait_until("the child's end", lambda: not runs(int(child.read_text())))


def test_service_that_is_done_is_not_started_again(host: Host) -> None:
    script = f'echo "$$" >>"$HOME/started"\nexit {supervisor.DONE}\n'
    supervisor.install(host, "thing", script)  # type: ignore[arg-type]
    own = supervisor.of(host)  # type: ignore[arg-type]
    own.start("thing")
    wait_until("a start", lambda: started(host))
    assert own.stop("thing", patience=60) == []
    assert len(started(host)) == 1


def test_service_that_cannot_start_is_tried_ever_more_slowly(host: Host) -> None:
    supervisor.install(host, "thing", 'date +%s.%N >>"$HOME/started"\nexit 1\n')  # type: ignore[arg-type]
    own = supervisor.of(host)  # type: ignore[arg-type]
    own.start("thing")
    wait_until("the third start", lambda: len(started(host)) == 3)
    first, second, third = (float(line[0]) for line in started(host))
    assert 0.9 < second - first < third - second


@pytest.mark.parametrize("sudo", [True, False])
def test_service_of_the_machine_is_roots_where_there_is_sudo_without_systemd(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, sudo: bool
) -> None:
    """It ran as the account, which may not shut the machine down and sees no other's logins."""
    monkeypatch.setattr(supervisor, "_MACHINE", str(tmp_path / "machine" / "services"))
    host.facts = SimpleNamespace(has_units=False, sudo=sudo)
    program = "import pathlib, sys, time; pathlib.Path(sys.argv[1], 'ran').touch(); time.sleep(60)"
    node: Any = host
    steps = supervisor.starting_for_machine(node, "autostop", {"autostop.py": program})
    assert {step.user for step in steps} == {"root" if sudo else "me"}
    (tmp_path / ".spotcluster").mkdir()
    for step in steps:
        host.run(f"cd\n{step.script}")
    folder, user = supervisor.of_machine(node)
    services = Path(folder) if sudo else tmp_path / ".spotcluster" / "services"
    wait_until("it to run", lambda: (services / "ran").exists())
    own = supervisor._Plain(node, folder, user)
    wait_until("it to be known", lambda: own.status("autostop") == {"autostop": True})
    assert own.stop("autostop") == ["autostop"]
