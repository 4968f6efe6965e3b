"""Tables of thousands of rows, of which a page gets those that it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
ROWS = 25
"""On one page of a table."""


@dataclass(frozen=True)
class Cell:
    """What a cell says; `tone` is "good", "bad", "warn", "quiet" or empty, `bar` from 0 to 1."""

    text: str
    tone: str = ""
    title: str = ""
    bar: float | None = None

    def as_json(self) -> Any:
        """Return it as the page has it."""
        if not (self.tone or self.title or self.bar is not None):
            return self.text
        found: dict[str, Any] = {"text": self.text}
        found |= {"tone": self.tone} if self.tone else {}
        found |= {"title": self.title} if self.title else {}
        return found | ({"bar": round(self.bar, 3)} if self.bar is not None else {})


@dataclass(frozen=True)
class Column(Generic[T]):
    """A column: what it is called, what it is sorted by, and what it says of a row."""

    key: str
    label: str
    value: Callable[[T], Any]
    cell: Callable[[T], Cell]
    number: bool = False


@dataclass(frozen=True)
class Wish:
    """How a page wants a table: sorted by which column, which rows, and from which on."""

    sort: str = ""
    descending: bool = False
    find: str = ""
    page: int = 0

    @classmethod
    def of(cls, given: dict[str, Any]) -> Wish:
        """Read what a page says."""
        page = given.get("page", 0)
        return cls(
            sort=str(given.get("sort", ""))[:40],
            descending=bool(given.get("descending")),
            find=str(given.get("find", ""))[:100],
            page=page if isinstance(page, int) and 0 <= page < 10**6 else 0,
        )


@dataclass(frozen=True)
class Table(Generic[T]):
    """A kind of table.

    Parameters
    ----------
    words : callable
        Gives what is looked through for what somebody types.
    id : callable
        Gives what tells a row from others.
    """

    columns: Sequence[Column[T]]
    id: Callable[[T], str]
    words: Callable[[T], str]
    empty: str
    rows: int = ROWS
    _by_key: dict[str, Column[T]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_key", {one.key: one for one in self.columns})

    def part(self, items: Sequence[T], wish: Wish) -> dict[str, Any]:
        """Return what a page shows of it."""
        found = list(items)
        if wish.find:
            wanted = wish.find.casefold().split()
            found = [
                one for one in found if all(word in self.words(one).casefold() for word in wanted)
            ]
        column = self._by_key.get(wish.sort)
        if column is not None:
            value = column.value
            lacking = [one for one in found if value(one) is None]
            known = [one for one in found if value(one) is not None]
            known.sort(key=value, reverse=wish.descending)
            found = known + lacking
        pages = max(1, -(-len(found) // self.rows))
        page = min(wish.page, pages - 1)
        shown = found[page * self.rows : (page + 1) * self.rows]
        return {
            "columns": [
                {"key": one.key, "label": one.label, "number": one.number} for one in self.columns
            ],
            "rows": [
                {"id": self.id(one), "cells": [c.cell(one).as_json() for c in self.columns]}
                for one in shown
            ],
            "total": len(found),
            "of": len(items),
            "page": page,
            "pages": pages,
            "first": page * self.rows + 1 if shown else 0,
            "sort": wish.sort if column is not None else "",
            "descending": wish.descending,
            "empty": self.empty if not items else "Nothing here has all of these words.",
        }
