"""The imports of a new engine, which are done beside other things."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spotcluster.search.engine import here, imports

WAITS = """
import time
from pathlib import Path
end = time.monotonic() + 60
while not Path({gate!r}).exists() and time.monotonic() < end:
    time.sleep(0.01)
done = True
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Makes modules that can be imported."""
    names = []
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imports, "_under_way", None)

    def make(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)

    yield make
    (tmp_path / "gate").touch()
    imports.finish()
    for name in names:
        sys.modules.pop(name, None)


def test_an_engine_that_is_asked_who_it_is_answers_and_imports_meanwhile(
    module: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    module("that_waits", WAITS.format(gate=str(tmp_path / "gate")))
    assert here.probe("bundle", ["that_waits"])["node"]
    assert not hasattr(sys.modules.get("that_waits"), "done")
    here.probe("bundle", ["that_waits"])  # another search may ask as well
    (tmp_path / "gate").touch()
    imports.finish()
    assert sys.modules["that_waits"].done


def test_what_cannot_be_imported_keeps_nothing_else_from_it(
    module: Callable[[str, str], None],
) -> None:
    module("that_ends", "raise SystemExit")
    module("that_works", "")
    imports.begin(["that_ends", "that_is_not_there", "that_works"])
    imports.finish()
    assert "that_works" in sys.modules
    assert "that_ends" not in sys.modules


def test_what_fits_need_is_imported_though_nobody_has_begun(
    module: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    module("that_fits_need", "")
    monkeypatch.setattr(imports, "_ALWAYS", ("that_fits_need",))
    imports.finish()
    assert "that_fits_need" in sys.modules
