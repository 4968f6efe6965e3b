"""The fixture `world`, for the folders whose tests run terminals in one."""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterator
from pathlib import Path

import botocores
import forked
import pytest

from spotcluster.aws import policy
from spotcluster.aws.session import Session

from . import picking
from .world import CREDENTIALS, REGION, World, running


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
    _make_ready_to_fork()
    with running(tmp_path, spotcluster_home) as made:
        yield made


@functools.cache
def _make_ready_to_fork() -> None:
    """Do once what every terminal would do first, and inherits."""
    forked.import_program()
    picking.use()
    session = Session(REGION)
    for statement in policy.document()["Statement"]:
        for action in statement["Action"]:
            service, _, name = action.partition(":")
            if service in ("ec2", "ssm", "pricing"):
                botocores.warm(session.client(service), name)
    gc.collect()
    gc.freeze()  # a collection in a terminal would write to, and so copy, all that it inherits
