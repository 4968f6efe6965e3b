"""Every test has its own home, so that none can touch the developer's."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocores
import hypothesis
import pytest

from spotcluster.config import environment

# How long an example takes says something of the machine and its other users only.
hypothesis.settings.register_profile(
    "spotcluster", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("spotcluster")

# What hundreds of processes import is compiled once, even where the environment says otherwise.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

botocores.share()

# A fifth of the time of tests in one process was looking for garbage among what never is any.
gc.set_threshold(50_000)

# In the background of a shell this ignores Ctrl-C, and so would what the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

_SHOWN = "shown at the end"


@pytest.fixture(autouse=True)
def spotcluster_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set SPOTCLUSTER_HOME to a new, short path: socket names have a limit of 108 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="sc-"))
    monkeypatch.setenv("SPOTCLUSTER_HOME", str(folder))
    monkeypatch.delenv("SPOTCLUSTER_CONFIG", raising=False)
    for name in (*environment.REGION, *environment.PROFILE):  # they stand in for the config's
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "no-aws-config"))  # nor does the user's own
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def shown(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Give what shows a text at the end of the run, whichever process the test ran in."""
    return lambda text: record_property(_SHOWN, text)


def pytest_xdist_auto_num_workers() -> int:
    """Start two processes for each core: a test waits for engines and hosts half of its time."""
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return 2 * (ours or 1)


def pytest_collection_finish() -> None:
    """Leave all that has been imported, and the tests, out of what is looked through."""
    gc.freeze()  # with what of it is garbage: to find that takes longer than it is worth


def pytest_sessionfinish() -> None:
    """Leave what there is by then out of it too: pytest looks through all of it five times."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what tests have shown."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in getattr(report, "user_properties", ()):
            if name == _SHOWN and report.when == "call":
                terminalreporter.write_line(f"\n{text}")
