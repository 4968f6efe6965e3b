"""The files that are sent to nodes, and what is given to them."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spotcluster import templates

# No NUL, which no variable of a shell can hold, and no half of a surrogate pair.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)
SHOW = """printf '%s\\0' "$one" ${many[@]+"${many[@]}"} "${#many[@]}" "$yes" "$no" "$number" """


@given(one=texts, many=st.lists(texts, max_size=4), number=st.integers(-(2**31), 2**31))
@example(one="$(id); `id` 'a'\n", many=["", "a b", "*", "-rf", "'", "(", "~"], number=0)
def test_a_script_finds_what_it_is_given_as_it_is(one: str, many: list[str], number: int) -> None:
    with patch.object(templates, "read", {"x.sh": SHOW}.__getitem__):
        script = templates.script("x.sh", one=one, many=many, yes=True, no=False, number=number)
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"], capture_output=True, check=True, cwd="/"
    )
    said = done.stdout.decode().split("\0")[:-1]
    assert said == [one, *many, str(len(many)), "1", "0", str(number)]


def test_numbers_and_names_that_could_be_ours_are_given_too() -> None:
    assert templates.assigned(name="x", numbers=range(1, 4)) == "name=x\nnumbers=(1 2 3)\n"


def test_a_script_that_does_not_exist_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.sh"):
        templates.script("no.sh")


def test_what_was_written_while_another_thread_flushed_was_not_flushed_when_asked() -> None:
    spec = importlib.util.spec_from_file_location(
        "engines", Path(__file__).parents[2] / "templates" / "engines.py"
    )
    assert spec
    assert spec.loader
    engines: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(engines)

    class Stream:
        """In the middle of each `write` another thread flushes it."""

        waiting = ""
        sent = ""

        def write(self, text: str) -> int:
            self.flush()
            self.waiting += text
            return len(text)

        def flush(self) -> None:
            self.sent += self.waiting
            self.waiting = ""

    stream = engines.prompt(Stream)()
    assert stream.write("seen") == 4
    stream.flush()
    assert stream.sent == "seen"
