"""A world for each test."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.session
import pytest
from world import CREDENTIALS, REGION, World, running

from spotcluster.aws.session import Session

_shared = cache(botocore.loaders.create_loader)


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
    # Reading botocore's description of EC2 takes longer than all calls of a command together, and
    # is the same each time; a forked terminal inherits it.
    monkeypatch.setattr("botocore.session.create_loader", _loader)
    for service in ("ec2", "ssm", "pricing"):
        Session(REGION).client(service)
    with running(tmp_path, spotcluster_home) as made:
        yield made


def _loader(search_path: Any = None) -> Any:
    return _shared(search_path)
