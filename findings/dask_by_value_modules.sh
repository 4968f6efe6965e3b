#!/usr/bin/env bash
# dask: a function of a module that is registered with cloudpickle to be sent by value is sent by name.
#
# cloudpickle.register_pickle_by_value(module) is cloudpickle's way to have functions of one's own
# modules sent as code, and dask pickles with cloudpickle, and asks that registry: one would think
# that such a function can be submitted to workers which lack its module. But dask tries pickle
# first, which can name the function, and looks the registry up for the outermost object only, which
# is no function but the graph that has it. So `submit` gives "Error during deserialization of the
# task graph ...". A function of `__main__` is sent as code, and so is one whose `__module__`
# says that it is of there; `Client.upload_file` brings the module.
# Source: distributed/protocol/pickle.py, dumps().
# Ours: docs/howto/dask-and-ray.md says what to do; tests/local/test_dask.py sends its functions so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet distributed==2026.8.0
mkdir "$folder/mine"
echo 'def answer(): return 42' >"$folder/mine/mymodule.py"
cat >"$folder/finding.py" <<'PYTHON'
import subprocess
import sys

import cloudpickle
import dask
import distributed
from distributed.protocol import pickle as dasks

sys.path.insert(0, sys.argv[1])
import mymodule

ELSEWHERE = """
import pickle, sys
try:
    pickle.loads(sys.stdin.buffer.read())
    print("understood")
except ModuleNotFoundError as error:
    print(error)
"""


def elsewhere(data):
    """Return what a process says that lacks the module."""
    words = [sys.executable, "-c", ELSEWHERE]
    return subprocess.run(words, input=data, stdout=-1, check=True).stdout.decode().strip()


print("distributed", distributed.__version__, "cloudpickle", cloudpickle.__version__)
cloudpickle.register_pickle_by_value(mymodule)
graph = dask.delayed(mymodule.answer)().__dask_graph__()
by_cloudpickle = elsewhere(cloudpickle.dumps(dict(graph)))
by_dask = elsewhere(dasks.dumps(dict(graph)))
mymodule.answer.__module__ = "__main__"
of_main = elsewhere(dasks.dumps(dict(dask.delayed(mymodule.answer)().__dask_graph__())))
print("a graph with the function, by cloudpickle:", by_cloudpickle)
print("by dask:", by_dask)
print("by dask, as a function of __main__:", of_main)
assert by_cloudpickle == of_main == "understood" != by_dask
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder/mine"
echo "Seen again: dask does not heed what is registered."
