"""Where nodes have what, and the few other words that programs on them and we agree on.

Clusters that run were made by earlier versions, so nothing here may move. templates/layout.sh says
the same in shell, for the scripts that nodes run. This belongs to no room, and the master gets it
too: plugins, cluster and ssh need it, and what runs on the master. Two programs that import nothing
of ours have a copy: `search.engine.here` and templates/job.py. A test holds all of them together,
and that nobody else spells these paths.
"""

from __future__ import annotations

import re

ROOT = "~/.spotcluster"
"""The folder of the account that the cluster's work runs as; to be read by a shell or `Account`."""

ENV = f"{ROOT}/env"
BIN = f"{ENV}/bin"
PYTHON = f"{BIN}/python"
"""The node's own environment, and its Python."""

_IPYTHON = f"{ROOT}/ipython"
SECURITY = f"{_IPYTHON}/security"
CLIENT_FILE = f"{SECURITY}/ipcontroller-client.json"
"""Where the master has ipyparallel's connection file for clients."""
ENGINE_FILE = f"{SECURITY}/ipcontroller-engine.json"
"""Where every node has the one for engines."""

DRAIN = f"{ROOT}/drain"
"""There, and the node's engines take nothing new."""
NOTICES = f"{ROOT}/notices"
"""What EC2 has said of the node's machine, see templates/notices.sh."""

DASK = f"{ROOT}/dask"
"""What dask has there: keys, the scheduler's address, what is spilled to disk."""

RAY = f"{ROOT}/ray"
"""What Ray has there: the token, the address of its head."""

ENGINES = f"{ROOT}/engines"
"""How many engines there are to be, and which there are, see templates/engines.py."""

SERVICES = f"{ROOT}/services"
DONE = 78
"""The status by which a service says that it is not to be started again."""


_ENGINE = re.compile(r"([a-z0-9-]+)[._](\d+)[._]\d+-\d+")


def engines_of(alias: str) -> tuple[str, str]:
    """Return what the identities of a node's engines begin with, by which they are known.

    The second is that of engines which earlier versions started, and which may run still.
    """
    return f"{alias}_", f"{alias}."


def engine_place(identity: str) -> tuple[str, int] | None:
    """Return the node of an engine and its number there; None where it is none of ours.

    Its identity is ``node_number_random``: anyone can tell whose it is without asking an engine
    that is busy. ipyparallel makes names of Python variables of it, and replaces ``-`` only.
    """
    found = _ENGINE.fullmatch(identity)
    return (found[1], int(found[2])) if found else None
