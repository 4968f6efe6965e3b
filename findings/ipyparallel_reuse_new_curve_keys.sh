#!/usr/bin/env bash
# ipyparallel: a controller with CURVE that is started again with --reuse answers nobody.
#
# --reuse is there so that engines and clients find the controller again by the connection files that
# they have: the same ports, and the same key. Without CURVE it is so. With CURVE the ports are kept,
# and the files too, but the controller makes a new pair of keys each time, unless it is given one in
# the environment. What is in the files is the former key then, and whoever reads them waits in vain.
# spotcluster makes the pair once and keeps it: templates/controller.sh, with tests/engines/test_search_survives.py.
# Source: ipyparallel/controller/app.py, _ensure_curve_keypair and load_config_from_json (9.2.0).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ipyparallel==9.2.0
export IPYTHONDIR=$folder/ipython
cat >"$folder/finding.py" <<'PYTHON'
import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import ipyparallel
import zmq

PROFILE = Path(sys.argv[1]) / "profile"
FILE = PROFILE / "security" / "ipcontroller-client.json"


def connected(pair: bool, curve: bool) -> tuple[bool, bool]:
    """Start a controller twice; say whether a client got in the second time, and had the same file."""
    for one in PROFILE.glob("security/*.json"):
        one.unlink()
    env = dict(os.environ)
    if pair:
        public, secret = zmq.curve_keypair()
        env |= {"IPP_CURVE_PUBLICKEY": public.decode(), "IPP_CURVE_SECRETKEY": secret.decode()}
    command = [sys.executable, "-m", "ipyparallel.controller", "--reuse", "--ip=127.0.0.1"]
    command += [f"--profile-dir={PROFILE}", f"--IPController.enable_curve={curve}"]
    files, got_in = [], []
    for _ in range(2):
        controller = subprocess.Popen(
            command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while not FILE.exists():
                time.sleep(0.1)
            time.sleep(3)
            files.append(json.loads(FILE.read_text()))
            try:
                ipyparallel.Client(str(FILE), timeout=10).close()
                got_in.append(True)
            except (TimeoutError, ipyparallel.TimeoutError, OSError):
                got_in.append(False)
        finally:
            controller.terminate()
            controller.wait()
    assert got_in[0], "not even the first one answers"
    return got_in[1], files[0] == files[1]


print("ipyparallel", version("ipyparallel"), "pyzmq", version("pyzmq"))
print("Expected: a client gets in by the same file each time.")
seen = {}
for name, pair, curve in (
    ("without CURVE", False, False),
    ("with CURVE", False, True),
    ("with CURVE, and a pair in the environment", True, True),
):
    seen[name] = connected(pair, curve)
    print(f"{name}: a client got in again: {seen[name][0]}; the file is the same: {seen[name][1]}")
    sys.stdout.flush()
status = list(seen.values()) != [(True, True), (False, True), (True, True)]
os._exit(status)
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder"
