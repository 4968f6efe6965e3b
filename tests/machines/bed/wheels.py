"""The wheels that the lab's index offers: what nodes install, in the versions of this computer.

They have the bytecode of what is in them, and are not compressed: each of the many machines that
install them would compile the same files when it imports them first, which takes it longer than
anything else. Of what no program reads, four files in ten, they have nothing: tests, stubs and
headers.
"""

from __future__ import annotations

import base64
import compileall
import hashlib
import platform
import py_compile
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from spotcluster.cluster.lifecycle.keeping import on_master
from spotcluster.plugins import environment

from . import cache
from .contained import contained

_NAMED = ("scikit-learn", "uv", "distributed", "bokeh")
PACKAGES = (*dict.fromkeys((*environment.BASE, *_NAMED, *on_master.PACKAGES)),)
_FORM = "with bytecode, without tests, stubs and headers, not compressed"
NOT_READ = re.compile(r"/tests/|\.(?:pyi|h|hpp|pxd|pyx|tp|f90)$")
_NOT_COMPILED = re.compile(r"\.data/")


def folder() -> Path:
    """Return the folder of wheels, downloaded if the versions here have changed."""
    recipe = "\n".join(
        [
            *(platform.machine(), environment.laptop_python(), *PACKAGES),
            environment.constraints(),
            _FORM,
        ]
    )
    return cache.made("wheels", recipe, _make)


def _make(place: Path) -> None:
    _download(place)
    for wheel in place.glob("*.whl"):
        _prepare(wheel)


def _download(place: Path) -> None:
    constraints = place / "constraints.txt"
    constraints.write_text(environment.constraints())
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"),
        *("--dest", str(place), "--constraint", str(constraints), *PACKAGES),
    ]
    done = subprocess.run(
        contained(command, network=False),
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise RuntimeError(f"the wheels could not be downloaded: {done.stderr.strip()[-2000:]}")


def _prepare(wheel: Path) -> None:
    """Compile what is in a wheel, and leave out what is not read, as if it was published so."""
    with tempfile.TemporaryDirectory(dir=wheel.parent) as unpacked:
        root = Path(unpacked)
        with zipfile.ZipFile(wheel) as packed:
            # In their order, with their modes.
            entries = [one for one in packed.infolist() if not NOT_READ.search(one.filename)]
            packed.extractall(root, entries)
        compileall.compile_dir(
            root,
            quiet=2,  # of what is no Python of this version
            rx=_NOT_COMPILED,
            stripdir=str(root),
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,  # of whatever time
        )
        made = sorted(set(root.rglob("*.pyc")) - {root / entry.filename for entry in entries})
        (record,) = root.glob("*.dist-info/RECORD")
        listed = [
            line
            for line in record.read_text().splitlines()
            if not NOT_READ.search(line.split(",")[0])
        ]
        listed += [_line(root, path) for path in made]
        record.write_text("\n".join([*listed, ""]))
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as packed:
            for entry in entries:
                entry.compress_type = zipfile.ZIP_STORED
                if not entry.is_dir():
                    packed.writestr(entry, (root / entry.filename).read_bytes())
            for path in made:
                packed.write(path, path.relative_to(root))


def _line(root: Path, path: Path) -> str:
    """Return what RECORD has of a file."""
    data = path.read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{path.relative_to(root)},sha256={digest},{len(data)}"
