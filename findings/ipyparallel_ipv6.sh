#!/usr/bin/env bash
# ipyparallel: a controller cannot listen on an IPv6 address, however it is written.
#
# ZeroMQ speaks IPv6, and its addresses may be written in brackets. But a socket of it takes IPv4
# addresses only until its option IPV6 is set, and ipyparallel sets it on none of its sockets, nor
# has it a setting for that. So nodes of a subnet without IPv4 cannot have a controller or engines.
# Source: ipyparallel/controller/app.py (`ip`), heartmonitor.py; zmq_setsockopt(3), ZMQ_IPV6.
# Here: spotcluster/cluster/bringup/places/surroundings.py, check_ipv6.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ipyparallel==9.2.0
export IPYTHONDIR=$folder/ipython
cat >"$folder/finding.py" <<'PYTHON'
import subprocess
import sys

import ipyparallel
import zmq

print("ipyparallel", ipyparallel.__version__, "pyzmq", zmq.__version__)
with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
    socket.setsockopt(zmq.IPV6, 1)
    try:
        socket.bind("tcp://[::1]:*")
    except zmq.ZMQError as error:
        raise SystemExit(f"this computer has no IPv6 to try it with: {error}")
    print("ZeroMQ, told so, listens on", socket.last_endpoint.decode())
for address in ("::1", "[::1]"):
    words = [sys.executable, "-m", "ipyparallel.controller", f"--ip={address}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"a controller runs on {address} now") from None
    assert done.returncode, done
    print(f"a controller on {address}:", done.stderr.strip().splitlines()[-1])
PYTHON
"$folder/venv/bin/python" "$folder/finding.py"
echo "Seen again: a controller cannot listen on an IPv6 address."
