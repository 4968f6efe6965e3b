"""`dashboard` where it cannot begin."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from spotcluster.cli.main import run


def test_without_its_extra_it_says_which_one_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec

    def without(name: str, *more: Any) -> Any:
        return None if name == "bokeh" else find(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert run(["dashboard", "mycluster"]) == 2
    said = capsys.readouterr().err
    assert "needs Bokeh, which is not installed" in said
    assert "spotcluster[dashboard]" in said
