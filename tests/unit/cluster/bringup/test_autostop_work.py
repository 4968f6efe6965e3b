"""What of a cluster counts as work that keeps it from ending, as its user sees it on the master."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[4] / "templates" / "autostop_work.py"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = importlib.util.spec_from_file_location("autostop_work", PROGRAM)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_tasks_are_seen_by_what_the_controller_says(work: Any, tmp_path: Path) -> None:
    assert work.tasks() == []  # there has never been a controller
    said = tmp_path / ".spotcluster" / "tasks"
    said.parent.mkdir()
    said.write_text("3\n")
    assert work.tasks() == ["tasks at the controller"]
    said.write_text("0\n")
    assert work.tasks() == []


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_controller_that_says_nothing_or_a_clock_that_jumped_is_not_taken_for_idle(
    work: Any, tmp_path: Path, ahead: float
) -> None:
    said = tmp_path / ".spotcluster" / "tasks"
    said.parent.mkdir()
    said.write_text("0\n")
    now = time.time() + ahead
    os.utime(said, (now, now))
    (one,) = work.work()
    assert one.startswith("? tasks: the controller has said nothing for ")


def test_cluster_whose_dask_computed_was_taken_for_idle(work: Any, tmp_path: Path) -> None:
    assert work.dask() == []  # there has never been a scheduler
    said = tmp_path / ".spotcluster" / "dask" / "tasks"
    said.parent.mkdir(parents=True)
    said.write_text("3\n")
    assert work.work() == ["tasks at dask's scheduler"]
    said.write_text("0\n")
    assert work.work() == []


def test_what_cannot_be_found_out_hides_nothing_else(
    work: Any, tmp_path: Path, jupyter: list[str]
) -> None:
    """A notebook server that did not answer as it should hid the jobs."""
    (tmp_path / ".spotcluster" / "notebook" / "token").write_text("wrong")
    (tmp_path / ".spotcluster" / "tasks").write_text("1")
    first, second = work.work()
    assert first == "tasks at the controller"
    assert second.startswith("? kernels: HTTP Error 403")


def test_job_runs_as_long_as_somebody_holds_it(work: Any, tmp_path: Path) -> None:
    folder = tmp_path / ".spotcluster" / "jobs" / "3"
    folder.mkdir(parents=True)
    (folder / "begun.json").write_text("{}")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert work.jobs() == ["job 3"]
        (folder / "end.json").write_text("{}")
        assert work.jobs() == []
        (folder / "end.json").unlink()
    assert work.jobs() == []  # lost, with its machine


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
    work: Any, jupyter: list[str]
) -> None:
    jupyter += ["idle", "starting"]
    assert work.kernels() == []
    jupyter += ["busy"]
    assert work.kernels() == ["1 busy notebook kernel(s)"]


def test_notebook_that_was_stopped_is_no_work(work: Any, jupyter: list[str]) -> None:
    (work.ROOT / "notebook" / "port").write_text("1")
    assert work.kernels() == []
