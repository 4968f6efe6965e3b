"""What runs in each kernel of a notebook on the master, with real engines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import psutil

from spotcluster import templates

from .conftest import LIMIT, Machines

KERNEL = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell(sys.argv[1])
assert shell.run_cell("%px print('here')").success
"""


def outputs_of(machines: Machines) -> psutil.Process:
    """Return the controller's process that brings clients what engines print."""
    port = json.loads(machines.client_file.read_text())["iopub"]
    for process in psutil.Process(machines.controller.pid).children(recursive=True):
        for one in process.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port:
                return process
    raise AssertionError("nothing listens where the outputs come from")


def test_first_px_of_a_notebook_showed_nothing_when_the_outputs_were_slow_to_be_connected(
    two_engines: Machines,
) -> None:
    outputs = outputs_of(two_engines)
    outputs.send_signal(signal.SIGSTOP)
    later = threading.Timer(6, outputs.send_signal, [signal.SIGCONT])
    later.start()
    try:
        done = subprocess.run(
            [sys.executable, "-c", KERNEL, templates.read("notebook_startup.py")],
            env={**os.environ, "IPYTHONDIR": str(two_engines.ipython)},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    finally:
        later.cancel()
        outputs.send_signal(signal.SIGCONT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("here") == 2
