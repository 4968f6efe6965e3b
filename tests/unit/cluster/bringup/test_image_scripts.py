"""What is taken away from the copy of a node before it becomes an image."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from spotcluster import ssh, templates
from spotcluster.plugins import self_signed

KEY = "8c0de8a4-5d5c0b2f6a7c1e9d"
CURVE = "k916UOMtmh-<+q[Lg5k(>mNZ4&QPS*7gt2p%l:uy"
TOKEN = "dGhpcyBpcyBhIHRva2VuIG9mIGEgbm90ZWJvb2s"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home as a login of a node has it."""
    home = tmp_path / "home"
    own = home / ".spotcluster"
    pair = ssh.keys.generate()
    write(home / ".ssh" / "id_ed25519", pair.private)
    write(home / ".ssh" / "authorized_keys", pair.public)
    write(home / ".bash_history", "echo hello")
    write(home / ".python_history", "print(1)")
    write(home / ".aws" / "credentials", "[default]")
    write(own / "ipython" / "security" / "ipcontroller-client.json", json.dumps({"key": KEY}))
    write(own / "ipython" / "security" / "curve", f"a-public-half-of-a-pair\n{CURVE}\n")
    write(own / "notebook" / "token", TOKEN)
    write(own / "dask" / "tls.pem", self_signed.pem("spotcluster dask"))
    for name in ("drain", "path.sh", "logs/engine.log", "services/engine", "cluster", "of-later"):
        write(own / name, "x")
    write(own / "env" / "lib" / "module.py", "x = 1\n")
    write(own / "constraints.txt", "numpy==2.1.0")
    write(home / "results.csv", "1,2\n")
    return home


def clean(home: Path) -> str:
    script = templates.script("image_clean.sh", whole=False)
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "TMPDIR": str(home.parent / "tmp")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def left(home: Path) -> list[str]:
    return sorted(str(one.relative_to(home)) for one in home.rglob("*") if one.is_file())


def test_only_what_was_installed_and_the_users_own_files_stay(home: Path) -> None:
    assert clean(home) == "clean\n"
    assert left(home) == [
        ".spotcluster/constraints.txt",
        ".spotcluster/env/lib/module.py",
        "results.csv",
    ]


@pytest.mark.parametrize("what", ["key", "curve", "token", "private", "dask"])
def test_a_secret_that_somebody_has_copied_elsewhere_is_found(home: Path, what: str) -> None:
    private = (home / ".ssh" / "id_ed25519").read_text()
    secret = {
        "key": json.dumps({"a": KEY}),
        "curve": f"export IPP_CURVE_SECRETKEY='{CURVE}'",
        "token": f"url?token={TOKEN}",
        "private": private,
        "dask": (home / ".spotcluster" / "dask" / "tls.pem").read_text().partition("-----END")[0],
    }
    copied = write(home / "notes" / "my notes.txt", secret[what])
    assert clean(home) == f"{copied}\nclean\n"


def test_a_public_key_is_no_secret(home: Path) -> None:
    pem = (home / ".spotcluster" / "dask" / "tls.pem").read_text()
    write(home / "certificate", pem.partition("-----END PRIVATE KEY-----\n")[2])
    write(home / "deploy", (home / ".ssh" / "authorized_keys").read_text())
    assert clean(home) == "clean\n"


def test_files_with_other_names_are_not_written_over(home: Path, tmp_path: Path) -> None:
    """Packages are linked from a cache that all hosts of a local cloud have."""
    cached = write(tmp_path / "cache" / "module.py", "y = 2\n")
    own = home / ".spotcluster" / "keeper" / "module.py"
    own.parent.mkdir()
    own.hardlink_to(cached)
    clean(home)
    assert not own.exists()
    assert cached.read_text() == "y = 2\n"


def test_what_is_unlinked_was_written_over_first(home: Path, tmp_path: Path) -> None:
    """What a file held stays on the disk when only its name goes."""
    token = home / ".spotcluster" / "notebook" / "token"
    with token.open("rb") as file:
        clean(home)
        assert TOKEN.encode() not in file.read()
    assert not token.exists()
