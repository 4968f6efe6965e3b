"""Names of sections, as other sections and the command line mention them."""

from __future__ import annotations

from collections.abc import Iterable


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
