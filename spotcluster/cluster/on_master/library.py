"""What programs on the master need of spotcluster: its searches, `connect`, and the job runner.

The master has no AWS credentials and needs none of what starts clusters, so it gets the part that
works there, in this computer's version, into a folder of that version's own: programs that run go
on with what they were started with.
"""

from __future__ import annotations

import functools
import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from spotcluster import templates
from spotcluster.cluster.cluster import Cluster
from spotcluster.errors import NodeError


@dataclass(frozen=True)
class Library:
    """Where the master has it.

    Attributes
    ----------
    python : str
        The Python that runs its programs: that of the cluster's environment where there is one.
    folder : str
        The folder of this version.
    """

    python: str
    folder: str


def install(cluster: Cluster) -> Library:
    """Bring it to the master, where it is missing; ``import spotcluster.search`` works there then.

    Raises
    ------
    NodeError
        The master has no Python.
    """
    digest, archive = _archive()
    script = templates.script("library.sh", digest=digest, cluster=cluster.name)
    account = cluster.master.account
    what = "bringing spotcluster's library"
    python = account.run(script, what=what, timeout=60).strip()
    if python == "missing":
        python = account.run(script, what=what, timeout=120, input=archive).strip()
    if not python.startswith("/"):
        raise NodeError(
            cluster.master.alias,
            "it has no Python to run anything with.",
            f"`spotcluster runplugin pypackages {cluster.name}` brings one, where the config has a"
            " plugin of that name.",
        )
    return Library(python, f"{account.home}/.spotcluster/lib/{digest}")


@functools.cache
def _archive() -> tuple[str, bytes]:
    return archive(_files())


def archive(files: Iterable[tuple[str, bytes]]) -> tuple[str, bytes]:
    """Return a digest of files, by name and content, and an archive of them."""
    digest = hashlib.sha256()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in sorted(files):
            digest.update(f"{name}\0{len(text)}\0".encode() + text)
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            entry.mode = 0o600
            tar.addfile(entry, io.BytesIO(text))
    return digest.hexdigest()[:16], packed.getvalue()


def _files() -> Iterator[tuple[str, bytes]]:
    yield "job.py", templates.read("job.py").encode()
    yield "spotcluster/cluster/__init__.py", b""
    yield "spotcluster/cluster/connect.py", templates.read("connect.py").encode()
    own = resources.files("spotcluster")
    for path in own.iterdir():  # the modules that belong to no room
        if path.name.endswith(".py") and path.name != "__main__.py":
            yield f"spotcluster/{path.name}", path.read_bytes()
    yield from _room(own.joinpath("search"), "spotcluster/search")


def _room(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for path in folder.iterdir():
        if path.name.endswith(".py"):
            yield f"{name}/{path.name}", path.read_bytes()
        elif path.joinpath("__init__.py").is_file():
            yield from _room(path, f"{name}/{path.name}")
