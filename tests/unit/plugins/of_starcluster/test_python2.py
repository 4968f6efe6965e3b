"""Python 2 becomes Python 3 where it can, and is refused by file and line where it cannot."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from spotcluster.plugins.starcluster import python2

PRINTS = """\
import os

def greet(names):
    for name, count in sorted(names.iteritems()):
        try:
            print "hello %s" % name, count
        except OSError, e:
            raise
    return 0755
"""


def run(source: str) -> dict[str, Any]:
    text, _ = python2.as_python_3(source, "plugin.py")
    found: dict[str, Any] = {}
    exec(compile(text, "plugin.py", "exec"), found)
    return found


def test_python_3_is_left_as_it_is() -> None:
    source = "def f():\n\treturn {'a': 1}.keys()\n"
    assert python2.as_python_3(source, "plugin.py") == (source, False)


def test_python_2_is_converted(capsys: pytest.CaptureFixture[str]) -> None:
    assert python2.as_python_3(PRINTS, "plugin.py")[1]
    assert run(PRINTS)["greet"]({"b": 2, "a": 1}) == 0o755
    assert capsys.readouterr().out == "hello a 1\nhello b 2\n"


def test_tabs_count_to_the_next_multiple_of_eight_as_python_2_had_it() -> None:
    source = "def f():\n        a = 1\n\tb = 2\n    \treturn a + b\n"
    with pytest.raises(TabError):
        compile(source, "plugin.py", "exec")
    assert run(source)["f"]() == 3
    assert not python2.as_python_3(source, "plugin.py")[1]


def test_tabs_in_a_text_over_several_lines_stay() -> None:
    source = "def f():\n        # it's\n\treturn '''all:\n\tmake\n'''\n        pass\n"
    assert run(source)["f"]() == "all:\n\tmake\n"


def test_without_the_converter_file_line_and_cure_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "fissix" else real(name)
    )
    with pytest.raises(SyntaxError) as caught:
        python2.as_python_3(PRINTS, "/plugins/greeting.py")
    said = str(caught.value)
    assert "it is Python 2 (/plugins/greeting.py, line 9: leading zeros" in said
    assert "pip install 'spotcluster[starcluster]'" in said


def test_what_is_neither_is_said_by_file_and_line() -> None:
    with pytest.raises(SyntaxError, match=r"neither Python 3 nor Python 2 .*broken.py, line 2"):
        python2.as_python_3("x = 1\ny = = 2\n", "broken.py")


def test_extra_of_the_message_is_one_that_there_is() -> None:
    project = Path(__file__).parents[4] / "pyproject.toml"
    assert f"\n{python2.EXTRA} = [" in project.read_text()
