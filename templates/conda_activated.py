"""The variables that conda's packages set where their environment is activated (JAVA_HOME, R_HOME).

Nobody activates it: this is read whenever a Python of the environment starts, by a .pth file beside
it, so that engines, jobs, notebooks and all that they start have them. Run as a program, within an
environment that is activated, it writes them down.
"""

import json
import os
import sys

_FILE = os.path.join(sys.prefix, "conda-variables.json")  # noqa: PTH118 - pathlib takes longer to import
_NOT = {"CONDA_SHLVL", "HOME", "LC_CTYPE", "OLDPWD", "PATH", "PWD", "SHLVL", "_"}

if __name__ == "__main__":
    given = {name: value for name, value in os.environ.items() if name not in _NOT}
    with open(_FILE, "w", encoding="utf-8") as _written:  # noqa: PTH123
        json.dump(given, _written)
else:
    with open(_FILE, encoding="utf-8") as _read:  # noqa: PTH123
        for _name, _value in json.load(_read).items():
            os.environ.setdefault(_name, _value)
