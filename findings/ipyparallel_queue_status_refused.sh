#!/usr/bin/env bash
# ipyparallel: an engine that has refused a task is said to have it for ever.
#
# A task whose condition does not hold on an engine (`depend`, `require`, or UnmetDependency raised) goes
# on to another one, and is done there. The scheduler tells the hub each time where a task goes, and the
# hub adds it to what that engine has; when the answer comes it takes it from the one that gave it. From
# those that refused nobody takes it: `client.queue_status()` goes on counting it in their `tasks`, though
# nothing is pending anywhere. Who reads in that whether a cluster is idle never sees it so.
# Our controller takes a task from the engine that has refused it:
# templates/controller.py, with tests/engines/test_clients_on_engines.py.
# Source: ipyparallel/controller/hub.py, save_task_destination and save_task_result (9.2.0).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ipyparallel==9.2.0
export IPYTHONDIR=$folder/ipython
cat >"$folder/finding.py" <<'PYTHON'
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import ipyparallel

PROFILE = Path(sys.argv[1]) / "profile"
FILE = PROFILE / "security" / "ipcontroller-client.json"
started = []


def start(module, *more):
    command = [sys.executable, "-m", f"ipyparallel.{module}", f"--profile-dir={PROFILE}", *more]
    nowhere = subprocess.DEVNULL
    started.append(subprocess.Popen(command, stdout=nowhere, stderr=nowhere))


def until(what, condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"{what} within a minute"
        time.sleep(0.05)


def is_willing():
    return willing


print("ipyparallel", version("ipyparallel"))
print("Expected: when all tasks are answered, no engine has any.")
start("controller", "--ip=127.0.0.1")
until("a controller", FILE.exists)
start("engine")
start("engine")
client = ipyparallel.Client(connection_info=str(FILE), timeout=30)
until("two engines", lambda: len(client.ids) == 2)
is_willing.__module__ = "__main__"
client[0].push({"willing": False}, block=True)
client[1].push({"willing": True}, block=True)
view = client.load_balanced_view()
answers = [view.apply_async(ipyparallel.depend(is_willing)(abs), -n) for n in range(20)]
print("answers:", [one.get(timeout=30) for one in answers])
until("no task is pending", lambda: client.queue_status()["unassigned"] == 0)
time.sleep(2)
tasks = {engine: client.queue_status(engine)["tasks"] for engine in (0, 1)}
pending = client.db_query({"completed": {"$exists": False}}, keys=["msg_id"])
print("answered, and not answered:", len(answers), len(pending))
print("tasks of the engine that refused, and of the other one:", tasks[0], tasks[1])
sys.stdout.flush()
for one in reversed(started):
    one.terminate()
for one in started:
    one.wait()
sys.exit(not (tasks[0] > 0 == tasks[1] == len(pending)))
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
