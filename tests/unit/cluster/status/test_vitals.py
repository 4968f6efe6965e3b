"""What a machine says of itself, by the script that is sent to it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spotcluster import templates
from spotcluster.cluster.status.observer import Status
from spotcluster.cluster.status.vitals import RunningJob, Vitals

BOOT = Path("/proc/sys/kernel/random/boot_id")


def boot() -> str:
    return BOOT.read_text().strip() if BOOT.exists() else ""


def job(home: Path, number: int, pid: int, boot: str, *, ended: bool = False) -> None:
    """Write what job.py writes of a job that has begun."""
    folder = home / ".spotcluster" / "jobs" / str(number)
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps({"command": ["python", "a b.py"], "cluster": "c"}))
    begun = {"pid": pid, "started": 12.5, "boot": boot}
    (folder / "begun.json").write_text(json.dumps(begun))
    if ended:
        (folder / "end.json").write_text("{}")


def look(home: Path) -> Vitals:
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{templates.read('vitals.sh')}"],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return Vitals.parse(done.stdout, 0.0)


def test_machine_without_anything_of_ours_says_how_it_does(tmp_path: Path) -> None:
    seen = look(tmp_path)
    assert seen.cores > 0
    assert seen.memory_total_mb > 0
    assert (seen.draining, seen.searches, seen.jobs) == (False, "", ())


def test_machines_with_other_packages_are_told_apart(tmp_path: Path) -> None:
    def seen(name: str, *packages: str) -> Vitals:
        site = tmp_path / name / ".spotcluster" / "env" / "lib" / "python3.11" / "site-packages"
        for package in packages:
            (site / f"{package}.dist-info").mkdir(parents=True)
        (tmp_path / name).mkdir(exist_ok=True)
        return look(tmp_path / name)

    def node(alias: str, vitals: Vitals | None) -> Any:
        instance = SimpleNamespace(is_master=alias == "master")
        return SimpleNamespace(alias=alias, instance=instance, vitals=vitals)

    master, same = seen("a", "numpy-2.4.6", "rich-14.0"), seen("b", "rich-14.0", "numpy-2.4.6")
    other = seen("c", "numpy-2.4.5", "rich-14.0")
    nodes = [node("master", master), node("node001", same), node("node002", other)]
    status: Any = SimpleNamespace(nodes=[*nodes, node("node003", None)])
    assert Status.other_packages.fget(status) == ["node002"]  # type: ignore[attr-defined]
    status.nodes = nodes[1:]  # no master
    assert Status.other_packages.fget(status) == []  # type: ignore[attr-defined]


def test_draining_node_and_its_searches_are_seen(tmp_path: Path) -> None:
    own = tmp_path / ".spotcluster"
    (own / "searches").mkdir(parents=True)
    (own / "drain").touch()
    (own / "searches" / "one.progress").write_text('{"done": 1}\n')
    (own / "searches" / ".two.progress").write_text('{"done": 2}\n')
    seen = look(tmp_path)
    assert seen.draining
    assert seen.searches == '{"done": 1}\n'


def test_jobs_whose_process_is_there_run(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    job(tmp_path, 2, os.getpid(), boot())
    job(tmp_path, 10, os.getpid(), boot())
    job(tmp_path, 3, gone.pid, boot())  # killed with all that it had
    job(tmp_path, 4, os.getpid(), "another")  # of before the machine was started again
    job(tmp_path, 5, os.getpid(), boot(), ended=True)
    command = ("python", "a b.py")
    assert look(tmp_path).jobs == (RunningJob(2, command, 12.5), RunningJob(10, command, 12.5))


@pytest.mark.parametrize("line", ["{}", "[]", "nothing", '{"pid": 1}'])
def test_job_whose_file_says_nothing_is_left_out(tmp_path: Path, line: str) -> None:
    job(tmp_path, 1, os.getpid(), boot())
    (tmp_path / ".spotcluster" / "jobs" / "1" / "begun.json").write_text(line)
    assert look(tmp_path).jobs == ()
