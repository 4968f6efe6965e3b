"""Names of sections, as other sections and the command line mention them."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST_NODES = 100_000
"""More than any account may have: a slip of the finger, not a wish."""


def find(names: Iterable[str], wanted: str) -> str | None:
    """Return the name as it is written in the file; upper and lower case may differ."""
    every = list(names)
    if wanted in every:
        return wanted
    near = [name for name in every if name.casefold() == wanted.casefold()]
    return near[0] if len(near) == 1 else None


def split(value: str) -> list[str]:
    """Return the items of a list, which stand between commas or on lines of their own."""
    return [item.strip() for item in value.replace("\n", ",").split(",") if item.strip()]


def bounds(text: str) -> tuple[float, float]:
    """Return the least and the most of ``4-8``, ``8-``, ``-16`` or ``4``.

    Raises
    ------
    ValueError
        The text is none of this.
    """
    found = re.fullmatch(r"\s*(\d{1,6})?\s*(-)?\s*(\d{1,6})?\s*", text)
    least, dash, most = found.groups() if found else (None, None, None)
    if least is None and most is None:
        raise ValueError("is not a number or a range of numbers, as in 4-8, 8- or -16")
    low = float(least or 0)
    high = float(most) if most else (float("inf") if dash else low)
    if low > high or high == 0:
        raise ValueError("is a range that nothing is in, as its least is more than its most")
    return low, high
