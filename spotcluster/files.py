"""Where our files are on this computer, and how they are written.

Everything is below ``~/.spotcluster`` (or ``$SPOTCLUSTER_HOME``), readable by its owner only.
Nothing there is needed to find or end a cluster: deleting it orphans nothing.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shlex
import stat
from pathlib import Path

from spotcluster.errors import UsageError


def home() -> Path:
    """Return the folder of spotcluster's own files (not made yet)."""
    return expand(Path(os.environ.get("SPOTCLUSTER_HOME") or "~/.spotcluster"))


def config_file() -> Path:
    """Return the default config file."""
    override = os.environ.get("SPOTCLUSTER_CONFIG")
    return expand(Path(override)) if override else home() / "config"


def expand(path: Path) -> Path:
    """Return a path with the home that it begins with.

    Raises
    ------
    UsageError
        Nobody knows where that is: there is no such user, or none for this process.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"'{path}' begins with a home folder that nobody knows of on this computer.",
            "Set HOME, or name the whole path; SPOTCLUSTER_HOME names the folder of spotcluster.",
        ) from error


def private_dir(*parts: str) -> Path:
    """Return the folder `parts` below `home`, with mode 0700, made where it is missing.

    Raises
    ------
    UsageError
        It belongs to somebody else, who could put anything there.
    """
    path = home()
    for part in ("", *parts):
        path = path / part
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.geteuid():
            raise UsageError(
                f"The folder {path} belongs to another user, who could read and change what is"
                " kept there.",
                "Name one of your own with SPOTCLUSTER_HOME.",
            )
        if found.st_mode & 0o077:  # made by hand, perhaps, to put a config there
            path.chmod(stat.S_IMODE(found.st_mode) & 0o700)
    return path


def make_parents(path: Path) -> None:
    """Make the folders that a file needs and that are missing, all of them with mode 0700.

    `Path.mkdir` gives its mode to the last one only.
    """
    missing = []
    folder = path.absolute().parent
    while not folder.is_dir() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


def read_private(path: Path) -> bytes:
    """Return the content of a file that nobody else may know, or may have written.

    Raises
    ------
    UsageError
        Other users can read or write it, or it belongs to one of them.
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if found.st_mode & 0o077 or found.st_uid != os.geteuid():
            raise UsageError(
                f"The file {path} is not for its owner only, so it may not be what it was.",
                f"If only you could have changed it: `chmod 600 {shlex.quote(str(path))}`.",
            )
        return file.read()


def write_private(path: Path, data: str | bytes, *, mode: int = 0o600) -> None:
    """Write `data` to `path` whole or not at all: aside, then renamed; mode 0600 from the start."""
    import tempfile  # with all that it can pack; most commands write nothing

    make_parents(path)
    raw = data.encode() if isinstance(data, str) else data
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def remove(path: Path) -> None:
    """Remove what `write_private` has written, if it is there, and what one that was killed left.

    Raises
    ------
    OSError
        It cannot be removed.
    """
    path.unlink(missing_ok=True)
    # Eight characters, as tempfile has them, so that it is not of another file "NAME.SUFFIX".
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????"):
        left.unlink(missing_ok=True)


def connection_file(region: str, cluster: str) -> Path:
    """Return where the ipyparallel connection file of a cluster is kept."""
    return home() / "connections" / region / f"{cluster}.json"


def known_hosts_file(region: str, cluster: str) -> Path:
    """Return where the host keys of a cluster's nodes are pinned."""
    return home() / "known_hosts" / region / cluster


def ssh_config_file(region: str, cluster: str) -> Path:
    """Return where the names of a cluster's nodes for the user's own ssh are kept."""
    return home() / "ssh_config" / region / cluster


def reached() -> list[tuple[str, str]]:
    """Return region and name of the clusters that this computer has reached, and not seen end."""
    found = home().glob("known_hosts/*/*")
    own = [path for path in found if not path.name.startswith(".")]  # those are being written
    return sorted((path.parent.name, path.name) for path in own)


def key_file(name: str) -> Path:
    """Return where `createkey` writes the private key of the key pair `name`."""
    return home() / "keys" / f"{name}.pem"


def forget_cluster(region: str, name: str) -> None:
    """Remove what is kept for a cluster that is no more."""
    for path in (
        known_hosts_file(region, name),
        connection_file(region, name),
        ssh_config_file(region, name),
    ):
        with contextlib.suppress(OSError):  # a disk that cannot be written to keeps no cluster
            remove(path)
