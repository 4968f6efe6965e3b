"""The part of a table that a page gets."""

from __future__ import annotations

from typing import Any

import pytest

from spotcluster.dashboard.tables import Cell, Column, Table, Wish

TABLE: Table[tuple[str, int | None]] = Table(
    [
        Column("name", "Name", lambda one: one[0], lambda one: Cell(one[0])),
        Column("size", "Size", lambda one: one[1], lambda one: Cell(str(one[1]), bar=0.5)),
    ],
    id=lambda one: one[0],
    words=lambda one: one[0],
    empty="There is none.",
    rows=10,
)
ITEMS: list[tuple[str, int | None]] = [(f"node{n:03d}", 100 - n if n else None) for n in range(35)]


def names(**wish: Any) -> list[str]:
    return [row["id"] for row in TABLE.part(ITEMS, Wish(**wish))["rows"]]


def test_rows_come_page_by_page() -> None:
    part = TABLE.part(ITEMS, Wish(page=3))
    assert (part["first"], len(part["rows"]), part["pages"], part["total"]) == (31, 5, 4, 35)
    assert names(page=99) == names(page=3)


def test_what_is_not_known_stands_last_in_either_order() -> None:
    assert names(sort="size", page=3)[-1] == "node000"
    assert names(sort="size", descending=True, page=3)[-1] == "node000"
    assert names(sort="size")[0] == "node034"


def test_all_words_are_looked_for() -> None:
    assert names(find="NODE 03") == [
        "node003",
        "node030",
        "node031",
        "node032",
        "node033",
        "node034",
    ]
    part = TABLE.part(ITEMS, Wish(find="nothing"))
    assert (part["rows"], part["first"]) == ([], 0)
    assert TABLE.part([], Wish())["empty"] == "There is none."


@pytest.mark.parametrize(
    "given", [{}, {"page": -1}, {"page": "x"}, {"sort": 3, "find": None}, {"page": 10**30}]
)
def test_wish_of_a_page_may_be_anything(given: dict[str, Any]) -> None:
    assert TABLE.part(ITEMS, Wish.of(given))["columns"][1]["label"] == "Size"
