"""Every test has its own home, so that none can touch the developer's."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import botocores
import hypothesis
import pytest

from spotcluster.config import environment

# How long an example takes says something of the machine and its other users only.
hypothesis.settings.register_profile(
    "spotcluster", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("spotcluster")

botocores.share()


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
