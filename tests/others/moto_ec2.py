"""A pytest plugin: moto's own tests of EC2, in server mode, against the local cloud's application.

They are those of the source distribution of the moto that is locked, which the part of the gate
fetches: the installed package has none. What differs on purpose is in ``moto_differences.txt``,
each line with its reason; what fails on plain moto as well, here, is in ``moto_plain.txt``, and
with ``MOTO=plain`` it is run on plain moto, where it must fail.

    MOTO=ours PYTHONPATH=tests:tests/others:SOURCE pytest -c tests/others/pytest.ini -p moto_ec2 \\
        SOURCE/tests/test_ec2
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import botocores
import pytest

HERE = Path(__file__).parent
WHICH = os.environ.get("MOTO", "ours")
SERVER = subprocess.Popen(
    [sys.executable, str(HERE / "moto_cloud.py"), WHICH],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
    env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
)
assert SERVER.stdout
# moto reads these when it is imported, and takes the way through its server then.
os.environ.update(
    TEST_SERVER_MODE="true",
    TEST_SERVER_MODE_ENDPOINT=SERVER.stdout.readline().strip(),
    AWS_ACCESS_KEY_ID="FOOBARKEY",
    AWS_SECRET_ACCESS_KEY="FOOBARSECRET",
)
botocores.share()  # each of the tests makes clients of its own


def listed(name: str) -> dict[str, str]:
    """Return the tests that a file names, with their reasons."""
    lines = (HERE / name).read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))


def pytest_unconfigure(config: pytest.Config) -> None:
    SERVER.kill()
    SERVER.wait()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what differs; on plain moto, keep only what is said to fail there too."""
    plain = listed("moto_plain.txt")
    known = plain if WHICH == "plain" else {**plain, **listed("moto_differences.txt")}
    if WHICH == "plain" and not os.environ.get("MOTO_ALL"):
        kept = [item for item in items if name_of(item) in known]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
    for item in items:
        if reason := known.get(name_of(item)):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=WHICH == "plain"))


def name_of(item: pytest.Item) -> str:
    """Return what the lists call a test: its file and its name."""
    return f"{item.path.stem}::{item.nodeid.split('::', 1)[1]}"
