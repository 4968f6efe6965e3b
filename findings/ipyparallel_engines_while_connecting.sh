#!/usr/bin/env bash
# ipyparallel: an engine that comes while a client connects is never known to that client.
#
# The client asks the hub which engines there are, and takes the answer; it subscribes to what the hub
# publishes of engines that come and go on another port, and waits for neither. Whatever is published
# before that subscription has arrived is lost, and nothing asks again: the engine is missing from
# `client.ids` for as long as the client lives, though another client has it. (One that goes in that
# moment stays in `ids` likewise.) Here the port of the notices is reached late on purpose; through a
# tunnel, or on a busy machine, it is so by itself.
# spotcluster asks once more when it has subscribed: spotcluster/subscriptions.py, with
# tests/engines/test_clients_on_engines.py.
# Source: ipyparallel/client/client.py, _connect and _update_engines (9.2.0).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ipyparallel==9.2.0
export IPYTHONDIR=$folder/ipython
cat >"$folder/finding.py" <<'PYTHON'
import json
import os
import socket
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path

import ipyparallel

PROFILE = Path(sys.argv[1]) / "profile"
SECURITY = PROFILE / "security"
asked, open_ = threading.Event(), threading.Event()
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


def passed_on(one, other):
    while data := one.recv(1 << 16):
        other.sendall(data)


def late(listener, port):
    """Take connections at once, and lead them to a port when that is let."""
    while True:
        theirs = listener.accept()[0]
        asked.set()
        open_.wait()
        ours = socket.create_connection(("127.0.0.1", port))
        for pair in ((theirs, ours), (ours, theirs)):
            threading.Thread(target=passed_on, args=pair, daemon=True).start()


print("ipyparallel", version("ipyparallel"))
print("Expected: a client knows every engine that is registered, whenever that came.")
start("controller", "--ip=127.0.0.1")
until("a controller", (SECURITY / "ipcontroller-client.json").exists)
info = json.loads((SECURITY / "ipcontroller-client.json").read_text())
start("engine")
early = ipyparallel.Client(connection_info=info, timeout=30)
until("an engine", lambda: len(early.ids) == 1)

listener = socket.create_server(("127.0.0.1", 0))
arguments = (listener, info["notification"])
threading.Thread(target=late, args=arguments, daemon=True).start()
behind = info | {"notification": listener.getsockname()[1]}
while_it_connects = ipyparallel.Client(connection_info=behind, timeout=30)
assert asked.wait(30)
start("engine")
until("a second engine", lambda: len(early.ids) == 2)
open_.set()
start("engine")
until("a third engine", lambda: len(early.ids) == 3)
until("news of it", lambda: 2 in while_it_connects.ids)  # so it is subscribed now
time.sleep(5)
late_client = ipyparallel.Client(connection_info=info, timeout=30)
print("a client that was there before:     ", early.ids)
print("one that comes afterwards:          ", late_client.ids)
print("one that the second came to meet:   ", while_it_connects.ids)
sys.stdout.flush()
seen = [one.ids for one in (early, late_client, while_it_connects)]
for one in reversed(started):
    one.terminate()
for one in started:
    one.wait()
os._exit(seen != [[0, 1, 2], [0, 1, 2], [0, 2]])
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
