"""Code that comes to the Python prompt from a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from spotcluster.cli.commands.nodes import shell


@pytest.fixture
def things(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    InteractiveShell.clear_instance()
    yield {"answer": 42}
    InteractiveShell.clear_instance()


@pytest.mark.parametrize(
    ("code", "status"),
    [("1/0", 1), ("exit(3)", 3), ("quit()", 0), ("x = answer", 0), ("this is no code", 1)],
)
def test_prompt_passes_on_how_the_code_ended(
    things: dict[str, Any], code: str, status: int
) -> None:
    assert shell._run(things, code) == status


def test_prompt_shows_what_the_last_line_is(
    things: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell._run(things, "def double(x):\n    return 2 * x\ndouble(answer)\n") == 0
    assert "84" in capsys.readouterr().out


def test_interrupted_code_ends_the_program_as_interrupted(things: dict[str, Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        shell._run(things, "raise KeyboardInterrupt")
