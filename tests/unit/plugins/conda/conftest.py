"""Channels of conda's that these tests ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conda_channels import Channel, served


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    """Give a channel that nobody serves yet, and that nobody changes."""
    made = Channel(tmp_path_factory.mktemp("channel") / "channel")
    made.add_python()
    for version in ("1.0", "1.5", "2.0"):
        made.add_module("greetings", version, f"WORD = {version!r}\n")
    made.add_module("careful", "1.0", "", depends=["greetings <2"])
    # In an instant, and of no index: what is asked of pip beside --version fails.
    made.add_module("pip", "1.0", "import sys\nsys.exit('--version' not in sys.argv)\n")
    made.index()
    return made


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def channel(packed: Channel, own_cache: None) -> Iterator[Channel]:
    with served(packed) as given:
        yield given


@pytest.fixture
def private(packed: Channel, own_cache: None) -> Iterator[Channel]:
    with served(packed, private=True) as given:
        yield given
