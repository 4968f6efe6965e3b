"""The fixture `world`, for the folders whose tests run terminals in one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .world import CREDENTIALS, World, running


@pytest.fixture
def world(
    tmp_path: Path, spotcluster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """Give a world, and the environment in which terminals find it."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key,
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_key,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",  # set when the world listens
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    with running(tmp_path, spotcluster_home) as made:
        yield made
