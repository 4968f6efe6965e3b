"""A channel of conda's that tests make and serve: with the Python that runs them, and a few more.

Its Python is this one's program, and links to its library, so that a host of the local cloud has it
in no time. A package may want a login.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import hashlib
import io
import json
import sys
import sysconfig
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import rattler
from rattler.index import index_fs

PLATFORM = str(rattler.Subdir.current())
MINOR = "{}.{}".format(*sys.version_info)
VERSION = "{}.{}.{}".format(*sys.version_info)
LOGIN = ("somebody", "s3cret-of-the-channel")
# For tests that install with the Python that runs them.
installs_as_condas = pytest.mark.skipif(
    "posix_local" in sysconfig.get_scheme_names(),
    reason="Debian's own Python looks for packages elsewhere than conda's does",
)


class Channel:
    """A channel in a folder.

    Attributes
    ----------
    requests : list of str
        What it has been asked for, by paths.
    held : str
        What paths end with that are answered only when `released` is set; none when empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.url = ""
        self.held, self.released = "", threading.Event()
        for subdir in ("noarch", PLATFORM):
            (folder / subdir).mkdir(parents=True)
        (folder / "ours").symlink_to(".")

    def add(
        self,
        name: str,
        version: str,
        files: Mapping[str, bytes],
        *,
        depends: Sequence[str] = (),
        links: Mapping[str, str] | None = None,
        subdir: str = "noarch",
        noarch: str = "generic",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a package there; `index` says so."""
        index = {"name": name, "version": version, "build": "0", "build_number": 0}
        index |= {"depends": list(depends), "subdir": subdir, **(more or {})}
        if subdir == "noarch":
            index["noarch"] = noarch
        paths = [
            {
                "_path": path,
                "path_type": "hardlink",
                "sha256": hashlib.sha256(data).hexdigest(),
                "size_in_bytes": len(data),
            }
            for path, data in files.items()
        ]
        paths += [{"_path": path, "path_type": "softlink"} for path in links or {}]
        described = {"index.json": index, "paths.json": {"paths": paths, "paths_version": 1}}
        if noarch == "python":
            described["link.json"] = {"noarch": {"type": "python"}, "package_metadata_version": 1}
        target = self.folder / subdir / f"{name}-{version}-0.tar.bz2"
        with tarfile.open(target, "w:bz2", compresslevel=1) as packed:
            for path, text in described.items():
                _pack(packed, f"info/{path}", json.dumps(text).encode())
            for path, data in files.items():
                _pack(packed, path, data)
            for path, to in (links or {}).items():
                one = tarfile.TarInfo(path)
                one.type, one.linkname = tarfile.SYMTYPE, to
                packed.addfile(one)

    def add_module(
        self, name: str, version: str, text: str, *, depends: Sequence[str] = ()
    ) -> None:
        """Put a package of a Python module there, of which pip would know too."""
        info = f"site-packages/{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        files = {f"site-packages/{name}.py": text, f"{info}/METADATA": metadata}
        files[f"{info}/RECORD"] = "".join(f"{path.partition('/')[2]},,\n" for path in files)
        self.add(
            name,
            version,
            {path: data.encode() for path, data in files.items()},
            depends=["python", *depends],
            noarch="python",
        )

    def add_python(self) -> None:
        """Put the Python there that runs this."""
        base = Path(sys.base_prefix)
        program = Path(sys.executable).resolve().read_bytes()
        library = Path(sysconfig.get_path("stdlib", vars={"installed_base": str(base)}))
        place = f"lib/python{MINOR}"
        links = {
            f"{place}/{one.name}": str(one)
            for one in library.iterdir()
            if one.name not in ("site-packages", "__pycache__")
        }
        links |= {f"lib/{one.name}": str(one) for one in (base / "lib").glob("libpython3*.so*")}
        links |= {"bin/python": f"python{MINOR}", "bin/python3": f"python{MINOR}"}
        self.add(
            "python",
            VERSION,
            {f"bin/python{MINOR}": program, f"{place}/site-packages/README.txt": b""},
            links=links,
            subdir=PLATFORM,
            more={"python_site_packages_path": f"{place}/site-packages"},
        )

    def index(self) -> None:
        """Have the channel tell what is there now."""
        asyncio.run(index_fs(self.folder, force=True))


def _pack(packed: tarfile.TarFile, path: str, data: bytes) -> None:
    one = tarfile.TarInfo(path)
    one.size, one.mode = len(data), 0o755 if path.startswith("bin/") else 0o644
    packed.addfile(one, io.BytesIO(data))


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, channel: Channel, *given: Any, private: bool) -> None:
        self.channel, self.private = channel, private
        super().__init__(*given, directory=str(channel.folder))

    def send_head(self) -> Any:
        self.channel.requests.append(self.path)
        if self.channel.held and self.path.endswith(self.channel.held):
            self.channel.released.wait(60)
        token = base64.b64encode(":".join(LOGIN).encode()).decode()
        if self.private and self.headers.get("Authorization") != f"Basic {token}":
            self.send_error(401)
            return None
        return super().send_head()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        with contextlib.suppress(ConnectionError):  # who has asked may have been killed
            super().copyfile(source, outputfile)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def served(channel: Channel, *, private: bool = False) -> Iterator[Channel]:
    """Serve a channel on loopback, for as long as the block lasts."""
    handler = functools.partial(_Handler, channel, private=private)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    channel.url = f"http://127.0.0.1:{server.server_port}/ours"
    try:
        yield channel
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
