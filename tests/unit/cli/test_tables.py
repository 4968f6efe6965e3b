"""Tables fit the terminal, whatever is in them, and cut no word in two without need."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from spotcluster.cli import tables

WORDS = st.text("abcdefg-.0123456789", min_size=1, max_size=40)
CELLS = st.lists(WORDS, max_size=6).map(" ".join)


def drawn(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, keys: int = 1) -> str:
    console = Console(width=width, color_system=None, highlight=False, force_terminal=True)
    cells = [[Text(one) for one in row] for row in rows]
    with console.capture() as caught:
        for part in tables.fitted(columns, cells, width, keys=keys):
            console.print(part)
    return caught.get()


@settings(deadline=None)
@given(st.data(), st.integers(1, 10), st.integers(0, 4), st.sampled_from([40, 80, 120]))
def test_no_line_is_longer_than_the_terminal_and_nothing_is_lost(
    data: st.DataObject, number: int, height: int, width: int
) -> None:
    columns = data.draw(st.lists(WORDS, min_size=number, max_size=number))
    row = st.lists(CELLS, min_size=number, max_size=number)
    rows = data.draw(st.lists(row, min_size=height, max_size=height))
    keys = data.draw(st.integers(1, min(2, number)))
    shown = drawn(columns, rows, width, keys)
    assert all(len(line) <= width for line in shown.splitlines())
    there = "".join("".join(cells) for cells in [columns, *rows])
    for letter in set(there) - {" "}:
        assert shown.count(letter) >= there.count(letter)


NODE = ("node", "state", "type", "market", "zone", "address", "instance")
ROW = ("node001", "not set up", "m7gd.12xlarge", "on demand", "ap-southeast-2a")
PLACE = ("203.113.100.255", "i-0123456789abcdef0")
PRICES = ("type", "zone", "per vCPU", "now", "max", "average", "on demand", "saving")


def test_what_is_too_wide_goes_on_below_under_the_same_first_columns() -> None:
    shown = drawn(NODE, [[*ROW, *PLACE]], 80)
    assert max(map(len, shown.splitlines())) <= 80
    assert all(one in shown for one in [*NODE, *ROW, *PLACE])
    assert [line.split()[0] for line in shown.splitlines() if line] == ["node", "node001"] * 2


def test_headings_are_folded_before_a_table_is_cut() -> None:
    row = ("c5.2xlarge", "us-east-1a", "0.0425", "0.1700", "0.1710", "0.1705", "0.3400", "50%")
    shown = drawn([*PRICES, "vCPUs", "GiB"], [[*row, "8", "16"]], 80, 2)
    lines = shown.splitlines()
    assert len(lines) == 3
    assert lines[2].split() == [*row, "8", "16"]


@pytest.mark.parametrize("width", [80, 100])
def test_long_texts_are_folded_between_words(width: int) -> None:
    command = "python train.py --with many --more words --so that --it is longer than the terminal"
    shown = drawn(("job", "state", "command"), [["1", "running", command]], width)
    assert max(map(len, shown.splitlines())) <= width
    assert " ".join(shown.split()).replace("job state command 1 running ", "") == command


def test_table_that_fits_is_as_wide_as_it_is() -> None:
    assert drawn(("name", "zone"), [["a", "us-east-1a"], ["bcdefg", "x"]], 80).splitlines() == [
        "name    zone      ",
        "a       us-east-1a",
        "bcdefg  x         ",
    ]
