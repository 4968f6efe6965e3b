"""Whether Ray computes, as its watch on the master writes it down for autostop; Ray is a stub."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import wait_until

PROGRAM = Path(__file__).parents[4] / "templates" / "ray_watch.py"
RAY = """
import json, os
def _said():
    return json.load(open(os.environ["SAID"]))
def init(*_, **__): pass
def shutdown(): pass
def nodes(): return [{"NodeID": "a", "NodeManagerAddress": "10.0.0.1", "Alive": True}]
def cluster_resources(): return {"CPU": 2.0, "memory": 9.0, "node:10.0.0.1": 1.0}
def available_resources(): return {"CPU": _said()["free"], "memory": 5.0}
"""
WORKER = """
from types import SimpleNamespace as N
import ray
class Client:
    def get_all_job_info(self, *, skip_submission_job_info_field, skip_is_running_tasks_field):
        assert skip_submission_job_info_field and not skip_is_running_tasks_field
        jobs = ray._said()["jobs"]
        return {at: N(is_dead=dead, is_running_tasks=runs) for at, (dead, runs) in enumerate(jobs)}
global_worker = N(gcs_client=Client())
"""


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Run it, and give what has it see something and returns what it has written then."""
    private = tmp_path / "ray" / "_private"
    private.mkdir(parents=True)
    (tmp_path / "ray" / "__init__.py").write_text(RAY)
    (private / "__init__.py").touch()
    (private / "worker.py").write_text(WORKER)
    own, said = tmp_path / ".spotcluster" / "ray", tmp_path / "said"
    own.mkdir(parents=True)
    program = tmp_path / "watch.py"
    quick = PROGRAM.read_text().replace("LOOK = 1.0", "LOOK = 0.02").replace("= 10.0", "= 0.02")
    program.write_text(quick)
    words = [
        sys.executable,
        str(program),
        "10.0.0.1:6379",
        "10.0.0.1",
        str(tmp_path / "drain"),
        "9",
    ]
    env = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path), "SAID": str(said)}
    said.write_text("nothing that it can read")
    running = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL)

    def seen(what: str) -> str:
        wait_until("it is there", (own / "ready").exists)
        before = (own / "tasks").stat().st_mtime_ns if (own / "tasks").exists() else 0
        (tmp_path / "said.new").write_text(what)
        (tmp_path / "said.new").replace(said)
        for _ in range(2):  # the first may have looked before
            wait_until("it writes", lambda then=before: (own / "tasks").stat().st_mtime_ns > then)
            before = (own / "tasks").stat().st_mtime_ns
        assert running.poll() is None
        return (own / "tasks").read_text()

    yield seen
    running.kill()
    running.wait(30)


def test_ray_whose_actors_computed_was_taken_for_idle(watched: Callable[[str], str]) -> None:
    assert watched('{"free": 2.0, "jobs": [[false, true]]}') == "1\n"
    assert watched('{"free": 2.0, "jobs": [[false, false], [true, true]]}') == "0\n"
    assert watched('{"free": 1.5, "jobs": [[false, false]]}') == "1\n"


def test_watch_of_ray_ended_when_it_could_not_look_once(
    watched: Callable[[str], str], tmp_path: Path
) -> None:
    wait_until("it is there", (tmp_path / ".spotcluster" / "ray" / "ready").exists)
    wait_until("it says", (tmp_path / ".spotcluster" / "ray" / "tasks").exists)
    assert (tmp_path / ".spotcluster" / "ray" / "tasks").read_text() == "1\n"  # not known yet
    assert watched('{"free": 2.0, "jobs": []}') == "0\n"
