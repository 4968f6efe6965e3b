"""Imported by every Python of a node's environment: `ray.init()` finds the cluster's Ray there."""

import os

_own = os.path.join(os.path.expanduser("~"), ".spotcluster", "ray")  # noqa: PTH111, PTH118 - at once
try:
    with open(os.path.join(_own, "address")) as _file:  # noqa: PTH118, PTH123 - in every Python
        os.environ.setdefault("RAY_ADDRESS", _file.read())
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN_PATH", os.path.join(_own, "token"))  # noqa: PTH118
except OSError:
    pass
