#!/usr/bin/env bash
# ipyparallel: `return_exceptions=True` works on results of apply, and not on those of map.
#
# The manual gives `AsyncResult.get(return_exceptions=True)` as the way to have what went well and
# what did not. A map cuts its items into chunks and joins the chunks' results when they are there:
# an exception in the place of a chunk cannot be joined, which is a TypeError of its own, and
# nothing of what went well is to be had that way.
# Source: ipyparallel/client/asyncresult.py, AsyncMapResult._reconstruct_result.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ipyparallel==9.2.0
export IPYTHONDIR=$folder/ipython
cat >"$folder/finding.py" <<'PYTHON'
import ipyparallel


def inverse(number):
    return 1 / number


if __name__ == "__main__":
    print("ipyparallel", ipyparallel.__version__)
    with ipyparallel.Cluster(n=2, log_level=40) as client:
        view = client.load_balanced_view()
        one = view.apply(inverse, 0).get(return_exceptions=True)
        print("apply:", type(one).__name__)
        assert isinstance(one, ipyparallel.RemoteError), one
        mapped = view.map_async(inverse, [1, 0, 2])
        mapped.wait()
        try:
            print("map:  ", mapped.get(return_exceptions=True))
        except TypeError as error:
            print("map:   TypeError:", error)
        else:
            raise SystemExit("a map gives its exceptions too now")
PYTHON
"$folder/venv/bin/python" "$folder/finding.py"
echo "Seen again: a map cannot return exceptions."
