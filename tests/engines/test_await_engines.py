"""What the master runs to see which nodes' engines are there, with a real controller."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spotcluster import templates

from . import late
from .conftest import LIMIT, Machines


def ask(
    machines: Machines, limit: float, *words: str, file: Path | None = None
) -> tuple[str, float]:
    begin = time.monotonic()
    program = templates.read("await_engines.py")
    done = subprocess.run(
        [sys.executable, "-c", program, str(file or machines.client_file), str(limit), *words],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return done.stdout, time.monotonic() - begin


def begins(machines: Machines) -> str:
    """Return what the identities of all engines here begin with."""
    identities = dict(machines.client._engines).values()
    return ",".join(identities)


def test_node_without_engines_holds_up_no_other(two_engines: Machines) -> None:
    there = ("node001", begins(two_engines), "2")
    assert ask(two_engines, 90, *there)[0] == ""
    said, took = ask(two_engines, 90, *there, "node002", "node002_,node002.", "3")
    assert said == "node002 0 of 3 registered\n"
    assert took < 80


def test_only_what_is_missing_is_waited_for_to_the_limit(two_engines: Machines) -> None:
    said, took = ask(two_engines, 3, "node002", "node002_,node002.", "1")
    assert said == "node002 0 of 1 registered\n"
    assert took >= 3


def test_engine_that_a_search_was_faster_to_is_there(two_engines: Machines, tmp_path: Path) -> None:
    """What it had begun may take hours, and its node was taken for broken after 90 s."""

    gate = tmp_path / "gate"
    hold = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)"
    view = two_engines.client[:]
    view.apply_sync(int)
    working = view.execute(hold, block=False)
    said = ask(two_engines, 6, "node001", begins(two_engines), "2")[0]
    gate.touch()
    working.get(timeout=60)
    assert said == ""


def test_engine_that_was_gone_and_still_registered_counted_as_one_that_answers(
    two_engines: Machines,
) -> None:
    """It had answered before: a node was ready for as long as the controller took to notice."""
    two_engines.client[:].apply_sync(int)
    silent = two_engines.engines[1]
    silent.send_signal(signal.SIGSTOP)
    try:
        said = ask(two_engines, 4, "node001", begins(two_engines), "2")[0]
    finally:
        silent.send_signal(signal.SIGCONT)
    assert said == "node001 1 of 2 answered\n"


def test_engine_that_came_while_the_program_connected_was_missed_and_the_start_failed(
    two_engines: Machines, tmp_path: Path
) -> None:
    """One that went meanwhile was waited for; after 90 s the node was taken for broken."""
    any_engine = ("node001", ",".join("0123456789abcdef"), "3")
    file = tmp_path / "client.json"
    with late.Notices(two_engines.client_file) as notices, ThreadPoolExecutor() as pool:
        file.write_text(json.dumps(notices.info))
        asking = pool.submit(ask, two_engines, LIMIT, *any_engine, file=file)
        assert notices.asked_for.wait(LIMIT)
        two_engines.stop_engines(but=1)
        two_engines.start("node001", 2)
        said = asking.result()[0]
    two_engines.stop_engines(but=2)
    assert said == ""
