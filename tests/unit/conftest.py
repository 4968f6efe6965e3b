"""Tests that have to do with dates are run at several of them: see moments.py."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator

import file_modes
import pytest
from moments import MOMENTS, Moment, has_to_do_with_dates


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if has_to_do_with_dates(metafunc.definition.path):
        metafunc.parametrize("moment", MOMENTS.values(), ids=MOMENTS, indirect=True)


@pytest.fixture(autouse=True)
def moment(request: pytest.FixtureRequest) -> Iterator[Moment]:
    """Put the computer in the moment's time zone; a test that has nothing to do with it stays."""
    given: Moment | None = getattr(request, "param", None)
    if given is None:
        yield MOMENTS["nov28"]
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", given.zone)
        time.tzset()
        yield given
    time.tzset()


@pytest.fixture
def held_to_modes() -> Iterator[None]:
    """Hold root, who reads everything, to the modes of files."""
    with file_modes.held_to_modes():
        yield


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have moto make the images of its own list only, not the hundreds of Amazon's latest.

    It makes all whenever a region is asked for, each with a volume and a snapshot.
    """
    importlib.import_module("moto.ec2.models.amis")  # which would read its own list elsewhere
    monkeypatch.setenv("MOTO_AMIS_PATH", "/dev/null")
