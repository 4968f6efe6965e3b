#!/usr/bin/env bash
# scikit-learn: whoever imports an estimator imports pandas as well, wherever that is installed.
#
# pandas is no dependency of scikit-learn, and its checks of what it is given go by whether the caller's
# program has imported pandas already. But sklearn.utils.fixes, which every estimator imports, imports
# it where it can, and does nothing with it by itself. Where pandas happens to be installed, each
# process pays for it with time and memory, though nobody has a data frame: each engine, each worker
# of loky.
# spotcluster installs no pandas on nodes unless it is asked for, and the engines of a node share one
# import: templates/engines.py, with tests/engines/test_engines_of_a_node.py.
# Source: sklearn/utils/fixes.py, whose first lines import it, and _dataframe.py beside it (1.9.1).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat >"$folder/finding.py" <<'PYTHON'
import resource
import sys
from importlib.metadata import version

from sklearn.naive_bayes import GaussianNB

GaussianNB().fit([[0.0], [1.0]], [0, 1]).predict([[0.5]])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print("scikit-learn", version("scikit-learn"), "has imported pandas:", "pandas" in sys.modules)
print(f"modules: {len(sys.modules)}; most memory: {peak // 1024} MiB")
sys.exit(("pandas" in sys.modules) != (sys.argv[1] == "there"))
PYTHON
"$folder/venv/bin/pip" install --quiet scikit-learn==1.9.1
echo "Expected: a model of lists imports no pandas, whether it is there or not."
echo "Where pandas is not installed:"
"$folder/venv/bin/python" "$folder/finding.py" absent
"$folder/venv/bin/pip" install --quiet pandas==3.1.1
echo "Where it is:"
"$folder/venv/bin/python" "$folder/finding.py" there
