"""What pages show is what a controller and engines do."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import spotcluster
from spotcluster.clients import Client

from .conftest import Machines

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "from-others.md"


class Clusters(Machines):
    """Engines, and a client as `spotcluster.connect` makes it."""

    client_class = Client


@pytest.fixture(scope="module")
def cluster() -> Iterator[Clusters]:
    folder = Path(tempfile.mkdtemp(prefix="sce-"))
    made = Clusters(folder)
    made.start("node001", 2)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


def sections() -> dict[str, list[str]]:
    """Return the Python of each section of the page that is run here."""
    parts = re.split(r"^## (.*)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = {
        title: re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    }
    return {title: blocks for title, blocks in found.items() if blocks}


SQUARES = str(sum(seed**2 for seed in range(100)))
SAID = {
    "From Dask": [SQUARES, "{'C': "],
    "From Ray": [SQUARES, "{'max_depth': "],
    "From joblib": [SQUARES],
}


@pytest.mark.parametrize("title", SAID)
def test_what_others_users_are_shown_runs(
    cluster: Clusters,
    title: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[str] = []

    def connect(name: str) -> Any:
        asked.append(name)
        return cluster.client

    monkeypatch.setattr(spotcluster, "connect", connect)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in sections()[title]:
        exec(compile(block, str(PAGE), "exec"), names)
    assert asked == ["mycluster"]
    said = capsys.readouterr().out
    assert [one for one in SAID[title] if one not in said] == [], said


def test_every_section_with_python_is_run() -> None:
    assert sections().keys() == SAID.keys()
