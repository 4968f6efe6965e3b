"""Jobs as Python has them; the master is a stub."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from spotcluster.api import jobs


class OnMaster:
    def __init__(self, _cluster: object) -> None: ...

    def get(self, number: int | None) -> Any:
        return SimpleNamespace(id=number)

    def follow(self, number: int, write: Callable[[bytes], None], **_: object) -> Any:
        for one in "score: ½ ±0.1 🙂\n".encode():
            write(bytes([one]))
        return SimpleNamespace(id=number)


def test_characters_that_come_in_two_pieces_are_told_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.on_master, "Jobs", OnMaster)
    told: list[str] = []
    jobs.Jobs(lambda: cast("Any", SimpleNamespace(close=lambda: None))).wait(1, tell=told.append)
    assert "".join(told) == "score: ½ ±0.1 🙂\n"
