"""Durations as users write them: ``60m``, ``2h``, ``1h30m``; and ``off`` for none."""

from __future__ import annotations

import re

OFF = "off"

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_OFF = frozenset({OFF, "no", "none", "never", "false", "0"})
_NAMES = {
    "d": ("day", "days"),
    "h": ("hr", "hrs", "hour", "hours"),
    "m": ("min", "mins", "minute", "minutes"),
    "s": ("sec", "secs", "second", "seconds"),
}
_UNITS = {name: unit for unit, names in _NAMES.items() for name in (unit, *names)}
_PART = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([a-z]+)\s*")
_LEAST, _MOST = 10, 366 * 86400


def seconds(text: str) -> int:
    """Return the seconds of a duration; 0 for `OFF`.

    Raises
    ------
    ValueError
        It is none, or so short or so long that it can only be a slip; words that follow the value.
    """
    given = text.strip().casefold()
    if given in _OFF:
        return 0
    parts = _parts(given)
    if not parts:
        instead = given.replace(",", ".")
        if _parts(instead):
            raise ValueError(f"is not a duration: write {instead}")
        raise ValueError("is not a duration with its unit, as in 60m or 2h; or off")
    total = round(sum(float(number) * _SECONDS[unit] for number, unit in parts))
    if not _LEAST <= total <= _MOST:
        raise ValueError("is not between 10s and 366d; off is for never")
    return total


def _parts(given: str) -> list[tuple[str, str]]:
    """Return the numbers and units of a duration; none if it is no duration."""
    parts = list(_PART.finditer(given))
    whole = "".join(one[0] for one in parts) == given
    known = whole and all(one[2] in _UNITS for one in parts)
    return [(one[1], _UNITS[one[2]]) for one in parts] if known else []


def written(total: int) -> str:
    """Return seconds as `seconds` reads them: ``1h30m``; `OFF` for 0."""
    if not total:
        return OFF
    said = ""
    for unit, length in _SECONDS.items():
        number, total = divmod(total, length)
        said += f"{number}{unit}" if number else ""
    return said


def canonical(text: str) -> str:
    """Return a duration as `written` says it, so that equal ones are equal as text."""
    return written(seconds(text))
