#!/usr/bin/env bash
# ipykernel 7.0: what a thread shows after its cell has ended never reaches the notebook.
#
# A thread that a cell has begun may update what that cell has shown (`display_id`, `update`). In 6.x and
# from 7.1 on the update arrives. In 7.0 the thread gets a LookupError, of a context variable of which it
# never heard: the request that is being answered is kept in one, which only the main thread has set.
# Who shows progress from a thread, and takes care that no failure of that ends the work, shows nothing.
# A search shows how far it is in this way: spotcluster asks for ipykernel>=7.1, with
# tests/unit/search/results/test_page.py.
# Source: ipykernel/zmqshell.py, ZMQDisplayPublisher.parent_header, in 7.0.1 and in 7.1.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/finding.py" <<'PYTHON'
import sys
from importlib.metadata import version

from jupyter_client.manager import start_new_kernel

CELL = """
import threading
from IPython.display import display
go = threading.Event()
shown = display({"text/plain": "first"}, raw=True, display_id=True)

problem = "nothing"

def later():
    global problem
    go.wait()
    try:
        shown.update({"text/plain": "later"}, raw=True)
    except Exception as error:
        problem = type(error).__name__

thread = threading.Thread(target=later)
thread.start()
"""


def run(code):
    client.execute(code)
    assert client.get_shell_msg(timeout=60)["content"]["status"] == "ok"


manager, client = start_new_kernel(kernel_name="python3")
run(CELL)
run("go.set(); thread.join(); print(problem)")
updates, raised = 0, ""
while not raised:  # that is the last one
    message = client.get_iopub_msg(timeout=60)
    updates += message["msg_type"] == "update_display_data"
    if message["msg_type"] == "stream":
        raised = message["content"]["text"].strip()
client.stop_channels()
manager.shutdown_kernel(now=True)
print(f"ipykernel {version('ipykernel')}: updates that arrived: {updates}; raised: {raised}")
arrived = (updates, raised) == (1, "nothing")
lost = (updates, raised) == (0, "LookupError")
sys.exit(not (arrived if sys.argv[1] == "arrives" else lost))
PYTHON
echo "Expected: a thread's update of what its cell has shown arrives, whichever version it is."
for pair in 6.30.1:arrives 7.0.0:lost 7.0.1:lost 7.1.0:arrives; do
    version=${pair%:*}
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet "ipykernel==$version" jupyter_client==8.10.0
    "$folder/$version/bin/python" "$folder/finding.py" "${pair#*:}"
done
