"""Numbers with their units, as all views have them."""

from __future__ import annotations

from spotcluster import wording
from spotcluster.dashboard.tables import Cell

NONE = "–"  # noqa: RUF001 - as a number that is not there is written


def money(usd: float | None) -> str:
    """Return an amount: cents, and more digits where it is small."""
    if usd is None:
        return NONE
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${usd:.4f}"


def rate(usd: float | None) -> str:
    """Return a price per hour."""
    return NONE if usd is None else f"${usd:.4f}/h"


def span(seconds: float | None) -> str:
    """Return a time."""
    return NONE if seconds is None else wording.duration(max(0.0, seconds))


def count(number: int | None) -> str:
    """Return a number with its thousands apart."""
    return NONE if number is None else f"{number:,}"


def memory(used_mb: int | None, total_mb: int | None) -> Cell:
    """Return how much memory is used, with a bar."""
    if total_mb is None:
        return Cell(NONE, "quiet")
    total = f"{total_mb / 1024:.1f} GiB"
    if used_mb is None:
        return Cell(total)
    return Cell(f"{used_mb / 1024:.1f} of {total}", bar=min(1.0, used_mb / max(1, total_mb)))


def load(value: float | None, cores: int | None) -> Cell:
    """Return the load beside the cores that there are, with a bar."""
    if value is None or not cores:
        return Cell(NONE, "quiet")
    return Cell(f"{value:.2f} of {cores}", bar=min(1.0, value / cores))


def plural(number: int, word: str) -> str:
    """Return a number of things."""
    ending = "" if number == 1 else "es" if word.endswith("ch") else "s"
    return f"{number:,} {word}{ending}"
