#!/usr/bin/env bash
# ipyparallel: what engines print for a new client's first call can be lost, and is then waited for.
#
# A client returns from its constructor when the hub has answered. Outputs come by a socket of their
# own, to which it has subscribed, but the controller learns of a subscription when that connection
# is made, which with CURVE takes some round trips; what engines publish before that goes to nobody.
# The call's result is there and right, its stdout stays empty, and `wait_for_output`, with which
# `display_outputs` begins and to which it gives no limit, waits for a message that has gone. A %px
# as the first thing that a new kernel does shows nothing, or some engines' lines only.
# Source: ipyparallel/client/client.py, Client._connect (the SUB socket) and
# ipyparallel/client/asyncresult.py, AsyncResult.display_outputs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ipyparallel==9.2.0
export IPYTHONDIR=$folder/ipython
cat >"$folder/finding.py" <<'PYTHON'
import ipyparallel

TRIES = 500

if __name__ == "__main__":
    print("ipyparallel", ipyparallel.__version__)
    cluster = ipyparallel.Cluster(n=2, log_level=40)
    cluster.controller_args = ["--IPController.enable_curve=True"]
    with cluster:
        for number in range(1, TRIES + 1):
            client = cluster.connect_client_sync()
            client.wait_for_engines(2)
            asked = client[:].execute("print('here')", silent=False)
            asked.get(timeout=60)
            came = asked.wait_for_output(5)
            lost = [text for text in asked.stdout if "here" not in text]
            client.close()
            if lost:
                print(f"client {number}: the result is there, stdout is {asked.stdout},")
                print(f"and all of its output has come: {came}")
                assert not came
                break
        else:
            raise SystemExit(f"each of {TRIES} new clients had all of its first output")
PYTHON
"$folder/venv/bin/python" "$folder/finding.py"
echo "Seen again: the first output of a new client can be lost."
