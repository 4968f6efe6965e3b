"""How the master ends the engines of nodes that are drained, with a real controller."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spotcluster import templates

from . import late
from .conftest import LIMIT, Machines, until


def release(machines: Machines, *marks: str, file: Path | None = None) -> str:
    """Run the program; return what it complains of."""
    program = templates.read("release_engines.py")
    words = [str(file or machines.client_file), "node001", ",".join(marks), str(LIMIT)]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        timeout=2 * LIMIT,
        check=False,
    )
    return done.stderr if done.returncode else ""


def identities(machines: Machines) -> list[str]:
    return list(dict(machines.client._engines).values())


def test_engine_that_died_while_its_node_drained_kept_the_others_from_being_ended(
    machines: Machines, tmp_path: Path
) -> None:
    """The client does not shut down engines of which it knows that one is gone."""
    machines.start("node001", 2)
    flag, gate = tmp_path / "begun", tmp_path / "gate"
    begins = f"import os, time\nopen({str(flag)!r}, 'w').close()\n"
    hold = f"while not os.path.exists({str(gate)!r}): time.sleep(0.05)"
    busy = machines.client.ids[0]
    machines.client[busy].execute(begins + hold, block=False)
    until(flag.exists, "what keeps one busy")
    with ThreadPoolExecutor() as pool:
        releasing = pool.submit(release, machines, *identities(machines))
        until(lambda: machines.client.queue_status(busy)["queue"] > 1, "it is asked")
        machines.stop_engines(but=1)
        gate.touch()
        assert releasing.result(LIMIT) == ""
    until(lambda: not machines.client.ids, "the other one to have ended")


def test_engine_that_went_while_the_program_connected_was_waited_for_to_the_limit(
    machines: Machines, tmp_path: Path
) -> None:
    machines.start("node001", 2)
    file = tmp_path / "client.json"
    with late.Notices(machines.client_file) as notices, ThreadPoolExecutor() as pool:
        file.write_text(json.dumps(notices.info))
        releasing = pool.submit(release, machines, *identities(machines), file=file)
        assert notices.asked_for.wait(LIMIT)
        machines.stop_engines(but=1)
        assert releasing.result(LIMIT / 2) == ""
    until(lambda: not machines.client.ids, "the other one to have ended")
