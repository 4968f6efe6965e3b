"""Jupyter's own config for `spotcluster notebook`: for its user alone, from the master alone."""

import os
from pathlib import Path
from typing import Any

c: Any = get_config()  # type: ignore[name-defined]  # noqa: F821 - Jupyter gives it

_OWN = Path.home() / ".spotcluster" / "notebook"

c.ServerApp.ip = "127.0.0.1"  # who comes from elsewhere comes through SSH
c.ServerApp.port = int(os.environ["SPOTCLUSTER_NOTEBOOK_PORT"])
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False
c.ServerApp.root_dir = str(Path.home() / "notebooks")
c.ServerApp.allow_root = True  # where the user is root, there is no other
c.IdentityProvider.token = (_OWN / "token").read_text().strip()
