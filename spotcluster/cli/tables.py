"""Tables that fit a terminal: what is too wide is folded between words, or goes on below.

A name, an id or a price is never cut in two where there is another way, so that it can be copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

_GAP = 2
_LONG = 24  # a column that is wider is folded
_LEAST = 20  # but not to less than this


def fitted(
    columns: Sequence[str],
    rows: Sequence[Sequence[Text]],
    width: int,
    *,
    keys: int = 1,
    header_style: str = "table.header",
) -> list[RenderableType]:
    """Return a table, or several that each begin with the same columns, for so wide a terminal.

    Parameters
    ----------
    keys : int
        How many of the first columns say what a row is of.
    """

    def table(widths: Iterable[tuple[int, int]], gap: int) -> Table:
        made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style=header_style)
        chosen = dict(widths)
        for number, wide in chosen.items():
            made.add_column(columns[number], overflow="fold", width=wide)
        drawn = rows
        if all(wide == whole[number] for number, wide in chosen.items()) and not several:
            # Nothing is folded: a row of a thousand lines takes a third of a thousand rows' time.
            drawn = [[Text("\n").join(row[number] for row in rows) for number in every]]
        for row in drawn:
            made.add_row(*(row[number] for number in chosen))
        return made

    every = range(len(columns))
    cells = [max([0, *(_widest(row[number].plain) for row in rows)]) for number in every]
    whole = [max(cells[number], cell_len(columns[number])) for number in every]
    several = not rows or any("\n" in cell.plain for row in rows for cell in row)
    folded = [max(cells[number], _longest_word(columns[number])) for number in every]
    for widths, gap in ((whole, _GAP), (folded, _GAP), (folded, 1)):
        if sum(widths) + gap * (len(widths) - 1) <= width:
            return [table(enumerate(widths), gap)]
    shared = _shared(folded, width - len(every) + 1)
    if shared:
        return [table(enumerate(shared), 1)]
    parts = [table(one, _GAP) for one in _cut(whole, width, keys)]
    return [parts[0], *(one for part in parts[1:] for one in (Text(), part))]


def _cut(widths: Sequence[int], width: int, keys: int) -> Iterator[list[tuple[int, int]]]:
    """Yield the numbers and widths of the columns of each of several tables below one another."""
    first = [(one, min(widths[one], width // 2 // keys)) for one in range(keys)]
    most = width - sum(wide + _GAP for _, wide in first)
    part: list[tuple[int, int]] = []
    for number in range(keys, len(widths)):
        wide = min(widths[number], most)
        if part and sum(one + _GAP for _, one in part) + wide > most:
            yield [*first, *part]
            part = []
        part.append((number, wide))
    yield [*first, *part]


def _shared(widths: Sequence[int], room: int) -> list[int]:
    """Return the widths with the long columns made narrower, so that all fit; empty if none do."""
    long = sorted(one for one in widths if one > _LONG)
    left = room - sum(one for one in widths if one <= _LONG)
    for number, one in enumerate(long):
        share = left // (len(long) - number)
        if one > share:
            return [min(wide, share) for wide in widths] if share >= _LEAST else []
        left -= one
    return []


def _widest(text: str) -> int:
    return max(map(cell_len, text.splitlines()), default=0)


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)
