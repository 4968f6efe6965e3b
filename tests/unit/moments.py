"""The moments at which tests that have to do with dates are run, each of them at every one.

A rule says which tests these are, so that nobody has to think of it: all of a file that names
`datetime`, the spot market or the local cloud's clock.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path


@dataclass(frozen=True)
class Moment:
    """A time, and where on earth the computer is.

    Attributes
    ----------
    zone : str
        As POSIX writes it, with its rules, so that no database of zones is needed.
    """

    when: datetime
    zone: str


MOMENTS = {
    # c5.large cost more than m5.large in us-east-1a, and a test had taken the opposite for granted.
    "nov28": Moment(datetime(2026, 11, 28, 8, tzinfo=UTC), "UTC0"),
    # Of a day that few years have; it is March already in Kolkata.
    "leap-day": Moment(datetime(2028, 2, 29, 23, 59, 50, tzinfo=UTC), "IST-5:30"),
    # A new year that has come in UTC, and in St John's not yet.
    "new-year": Moment(datetime(2027, 1, 1, 0, 0, 5, tzinfo=UTC), "NST3:30NDT,M3.2.0,M11.1.0"),
    # Clocks in Berlin go forward in ten seconds.
    "spring": Moment(datetime(2027, 3, 28, 0, 59, 50, tzinfo=UTC), "CET-1CEST,M3.5.0,M10.5.0/3"),
    # Close to what fits into 32 bits; it is ten past one for the second time in Los Angeles.
    "autumn-2037": Moment(datetime(2037, 11, 1, 9, 10, tzinfo=UTC), "PST8PDT,M3.2.0,M11.1.0"),
}

A_DATE = MOMENTS["nov28"].when
"""For what has to have one that means nothing: its tests have nothing to do with dates."""

_WORDS = re.compile(r"\b(datetime|market|clock|held_clock)\b")


@functools.cache
def has_to_do_with_dates(file: Path) -> bool:
    """Return whether the tests of a file are to be run at every moment."""
    text = file.read_text()
    if not _WORDS.search(text):  # most: what they import and take need not be found
        return False
    code = "\n".join(
        one.name if isinstance(one, ast.alias) else one.arg
        for one in ast.walk(ast.parse(text))
        if isinstance(one, ast.alias | ast.arg)
    )
    return _WORDS.search(code) is not None


class HeldClock:
    """A clock that stands still until a test moves it.

    Attributes
    ----------
    instead_of : callable
        Where the product takes the time from when no test holds it.
    """

    def __init__(self, when: datetime, instead_of: Callable[[], float]) -> None:
        self.now = when
        self.instead_of = instead_of

    def __call__(self) -> float:
        return self.now.timestamp()

    def move(self, length: timedelta) -> None:
        """Let time pass."""
        self.now += length
