"""A private index of Python packages and a repository of Debian's, beside the lab's own index.

``python -m machines.bed.mirrors FOLDER`` serves what `make` has put into a folder, in the lab's
network, until its standard input ends; the index lets in who has ``$LOGIN``.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from . import index
from .network import GATEWAY

if TYPE_CHECKING:
    from .lab import Lab

_INDEX_PORT, _APT_PORT = 8081, 8082
URL = f"http://{GATEWAY}:{_INDEX_PORT}/simple/"
SOURCES = f"deb [trusted=yes] http://{GATEWAY}:{_APT_PORT}/ ./"
"""The line of apt's sources that names the repository."""


def make(folder: Path, debs: Sequence[tuple[str, str]]) -> str:
    """Put the package ``mylib`` and Debian's ``(name, version)`` into it; return mylib's hash."""
    (folder / "wheels").mkdir()
    (folder / "apt").mkdir()
    found = [_deb(folder / "apt", name, version) for name, version in debs]
    (folder / "apt" / "Packages").write_text("\n".join(found))
    wheel = folder / "wheels" / "mylib-1.0-py3-none-any.whl"
    files = {
        "mylib.py": "ANSWER = 42\n",
        "mylib-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: mylib\nVersion: 1.0\n",
        "mylib-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items())
    with zipfile.ZipFile(wheel, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
        packed.writestr("mylib-1.0.dist-info/RECORD", f"{record}mylib-1.0.dist-info/RECORD,,\n")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


@contextmanager
def serving(lab: Lab, folder: Path, login: str) -> Iterator[None]:
    """Serve a folder in a lab's network for the length of a block."""
    env = {**lab.environment, "LOGIN": login, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "machines.bed.mirrors", str(folder)]
    with lab.popen(command, stdin=subprocess.PIPE, env=env) as server:
        assert server.stdin
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
        yield
        server.stdin.close()


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _deb(place: Path, name: str, version: str) -> str:
    """Make a package that brings a program which prints its version; return what an index says."""
    root = place / f"{name}-{version}"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "usr" / "bin").mkdir(parents=True)
    about = (
        f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
        "Maintainer: Tests <tests@example.org>\nDescription: for tests\n"
    )
    (root / "DEBIAN" / "control").write_text(about)
    program = root / "usr" / "bin" / name
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    file = place / f"{name}_{version}_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(root), str(file)],
        check=True,
        capture_output=True,
    )
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return f"{about}Filename: ./{file.name}\nSize: {len(data)}\nSHA256: {digest}\n"


def main() -> None:
    """Serve until the standard input ends."""
    folder = Path(sys.argv[1])
    index.serve(folder / "wheels", _INDEX_PORT, os.environ["LOGIN"])

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder / "apt"))
    server = ThreadingHTTPServer((GATEWAY, _APT_PORT), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
