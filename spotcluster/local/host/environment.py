"""The environment of a session on a local host.

It is made from nothing, as on a machine of its own, and of the laptop's environment takes only what
reaching the network from here needs.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from . import names
from .layout import MARK, Layout, Settings

_NETWORK = {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}

# Where pip and uv look for packages is the laptop's; where they put things is the host's.
_PLACES = {
    "PIP_BUILD_TRACKER",
    "PIP_CACHE_DIR",
    "PIP_LOG",
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_ROOT",
    "PIP_SRC",
    "PIP_TARGET",
    "PIP_USER",
    "UV_CACHE_DIR",
    "UV_CREDENTIALS_DIR",
    "UV_ENV_FILE",
    "UV_INSTALL_DIR",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_PYTHON_BIN_DIR",
    "UV_PYTHON_CACHE_DIR",
    "UV_PYTHON_INSTALL_DIR",
    "UV_RUN_RECURSION_DEPTH",
    "UV_SYSTEM_PYTHON",
    "UV_TOOL_BIN_DIR",
    "UV_TOOL_DIR",
    "UV_WORKING_DIR",
    "UV_WORKING_DIRECTORY",
}

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


# With another HOME, pip and uv would not find what their user has told them.
_CONFIG_FILES = {
    "PIP_CONFIG_FILE": (
        ".config/pip/pip.conf",
        "Library/Application Support/pip/pip.conf",
        ".pip/pip.conf",
    ),
    "UV_CONFIG_FILE": (".config/uv/uv.toml",),
}


def passed_on(laptop: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return what hosts get of the laptop: how to reach the network and its package indexes.

    Parameters
    ----------
    laptop : mapping of str to str
        The environment in which the local cloud was started.
    home : Path
        The home of the laptop's user.
    """
    found = {}
    for name, places in _CONFIG_FILES.items():
        for place in places:
            if (home / place).is_file():
                found[name] = str(home / place)
                break
    return found | {
        name: value
        for name, value in laptop.items()
        if name in _NETWORK
        or name.lower().endswith("_proxy")
        or (name.startswith(("PIP_", "UV_")) and name not in _PLACES)
    }


def session_environment(
    layout: Layout, settings: Settings, laptop: Mapping[str, str], user: str
) -> dict[str, str]:
    """Return the environment in which every process of the host starts.

    Parameters
    ----------
    layout : Layout
        The host's folder.
    settings : Settings
        What the daemon told the host.
    laptop : mapping of str to str
        The environment in which the local cloud was started.
    user : str
        The name that the client logged in with; a local host has one account under every name.
    """
    return {
        **passed_on(laptop, Path(laptop.get("HOME") or "/")),
        "HOME": str(layout.home),
        "USER": user,
        "LOGNAME": user,
        "SHELL": shell(),
        "LANG": laptop.get("LANG") or "C.UTF-8",
        "TMPDIR": str(layout.tmp),
        "TMUX_TMPDIR": str(layout.tmp),  # or its sessions would be the laptop's
        "PATH": f"{layout.bin}:{layout.home}/.local/bin:{SYSTEM_PATH}",
        "HOSTNAME": layout.name,
        "PYTHONPATH": str(layout.python_site),
        names.NAME: layout.name,
        names.ADDRESS: settings.address,
        # The hosts of one local cloud share one disk, so they share one package cache too: what
        # the first one downloads, the others link (uv hard-links where the file system can).
        "UV_CACHE_DIR": settings.cache,
        # A host is no machine of EC2's, though the laptop may be one.
        "SPOTCLUSTER_METADATA": layout.metadata.as_uri(),
        **settings.aws,
        MARK: layout.instance_id,
    }


def shell() -> str:
    """Return the shell of every account."""
    return shutil.which("bash", path=SYSTEM_PATH) or "/bin/sh"
