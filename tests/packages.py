"""What the hosts of the tests' local clouds install: downloaded, unpacked and compiled once.

A local cloud keeps the packages that its hosts install in its folder, and the hosts link them. Each
test has a folder of its own, so that each of them would download the same 254 MB; and what a host
imports first, it compiles, which takes an engine seven seconds. So the clouds of all tests have one
cache of packages. It is filled as a host would fill it, and has bytecode of all that is in it: that
which installing this environment has made of the same files, and of others what is compiled now. Of
what no program reads it has nothing, as each host links all files, and is removed with them.
"""

from __future__ import annotations

import compileall
import functools
import importlib.util
import os
import re
import struct
import subprocess
import tempfile
from pathlib import Path

from machines.bed import cache
from machines.bed.wheels import NOT_READ, compiled_here
from uv import find_uv_bin

from spotcluster.cluster.lifecycle.keeping import on_master
from spotcluster.plugins import environment

PACKAGES = (*environment.BASE, *on_master.PACKAGES, "scikit-learn", "distributed", "bokeh")
_FORM = "with all bytecode but of scripts, without tests but ipyparallel's, stubs and headers"
_NOT_COMPILED = re.compile(r"/tests/|\.data/")  # beside scripts, uv refuses what is compiled


def link(home: Path) -> None:
    """Let the local cloud that will be made below a home have the cache that all have."""
    place = home / "local" / "cache"
    place.mkdir(mode=0o700, parents=True)
    (place / "uv").symlink_to(_folder())


@functools.cache
def _folder() -> Path:
    """Return it. It is where homes are too: uv can link within one file system only."""
    base = Path(tempfile.gettempdir()) / f"spotcluster-packages-{os.getuid()}"
    wanted = [environment.laptop_python(), *PACKAGES, environment.constraints()]
    recipe = "\n".join([*wanted, _FORM])
    return cache.made("uv", recipe, _fill, base=base)


def _fill(place: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="sc-") as folder:
        made, constraints = Path(folder) / "env", Path(folder) / "constraints"
        constraints.write_text(environment.constraints())
        installing = ["pip", "install", "--python", str(made), "--constraint", str(constraints)]
        for words in (
            ["venv", "--python", environment.laptop_python(), str(made)],
            [*installing, *PACKAGES],
        ):
            # Where there is no network, the tests that need it say so.
            subprocess.run(
                [find_uv_bin(), "--quiet", *words],
                env={**os.environ, "UV_CACHE_DIR": str(place)},
                check=False,
            )
    for wheel in (place / "archive-v0").glob("*"):
        _leave_out_what_is_not_read(wheel)
        bring_bytecode(wheel)
        # Of what is no Python of this version it says nothing.
        compileall.compile_dir(wheel, quiet=2, rx=_NOT_COMPILED, workers=0)


def _leave_out_what_is_not_read(wheel: Path) -> None:
    """Have an unpacked wheel be as if it had been published without that."""

    def is_read(name: str) -> bool:
        # Functions of ipyparallel's tests are sent to engines by name; see others/.
        return name.startswith("ipyparallel/") or not NOT_READ.search(f"/{name}")

    for record in wheel.glob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines()
        left = [line for line in lines if is_read(line.split(",")[0])]
        record.write_text("\n".join([*left, ""]))
    for folder, _, names in os.walk(wheel, topdown=False):
        for name in names:
            path = Path(folder, name)
            if not is_read(str(path.relative_to(wheel))):
                path.unlink()
        if not any(Path(folder).iterdir()):
            Path(folder).rmdir()


def bring_bytecode(folder: Path) -> None:
    """Put beside the modules of a folder of packages what those of this environment have been
    compiled to, where they are the same.
    """
    for source in folder.rglob("*.py"):
        if not _NOT_COMPILED.search(str(source)):
            _bring_bytecode(source, source.relative_to(folder))


def _bring_bytecode(source: Path, name: Path) -> None:
    """Put beside a source file what that of this environment has been compiled to."""
    code = compiled_here(source, name)
    if code is None:
        return
    was = source.stat()
    header = struct.pack("<LLL", 0, int(was.st_mtime), was.st_size & 0xFFFFFFFF)
    target = Path(importlib.util.cache_from_source(str(source)))
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(importlib.util.MAGIC_NUMBER + header + code)
