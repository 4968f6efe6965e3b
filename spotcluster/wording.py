"""How things are said to users, whichever room says them: once each.

Times, sizes and lists in words, the known name that was meant, what is wrong with a setting, and
text from elsewhere as it may be shown. What a node, its console or a tag says was written by
somebody else, and a terminal takes some of it for orders: to draw over what is there, to change its
title, to put something into the clipboard.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_ORDERS = re.compile(
    r"\x1b(?:"
    r"\[[0-?]*[ -/]*[@-~]"  # CSI: colours, the cursor
    r"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS and the like: titles, the clipboard
    r"|[ -/]*[0-~])"
)
_NUMBERED = re.compile(r"(.*?)(\d+)")
_FOLDED = re.compile(r"(.*)\[(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)\]")
_WORD = re.compile(r"(?:`[^`]*`|\S)+")
_REMARKED = re.compile(r"( +)(\S.*\S) {2,}(\S.*)")
_UNITS = {"d": 86400, "h": 3600, "min": 60, "s": 1}
_CONFIDENTIAL = ("secret", "passw", "passphrase", "token", "credential", "access_key", "private")


def plain(text: str) -> str:
    """Return the text without what a terminal would take for an order; lines and tabs stay."""
    text = _ORDERS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _printable(text, lambda _: "", keep="\n\t")


def masked(text: str) -> str:
    """Return the text with a ``?`` for all that is no print; lines stay."""
    return _printable(text, lambda _: "?", keep="\n")


def visible(text: str) -> str:
    """Put a text on one line, and show what a terminal would hide or obey."""
    return _printable(" ".join(text.split()), lambda one: f"\\u{ord(one):04x}")


def _printable(text: str, instead: Callable[[str], str], *, keep: str = "") -> str:
    return "".join(one if one.isprintable() or one in keep else instead(one) for one in text)


def in_lines(text: str, width: int) -> str:
    """Return the text with its lines broken between words where they are longer than `width`.

    What is to be copied stays in one piece: a command between backquotes, and one that has a line
    of its own, which begins with a blank; what is said of that goes below it.
    """
    return "\n".join(_in_lines(line, width) for line in text.split("\n"))


def _in_lines(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    if line.startswith(" "):
        remarked = _REMARKED.fullmatch(line)
        return "{0}{1}\n{0}    {2}".format(*remarked.groups()) if remarked else line
    rows: list[str] = []
    for word in _WORD.findall(line):
        if rows and len(rows[-1]) + 1 + len(word) <= width:
            rows[-1] += f" {word}"
        else:
            rows.append(word)
    return "\n".join(rows)


def duration(seconds: float, *, tenths: bool = False) -> str:
    """Return a time in words: ``45 s``, ``3 min 20 s``, ``2 h 05 min``.

    Parameters
    ----------
    tenths : bool
        Whether what is less than a minute is said to a tenth of a second.
    """
    if tenths and seconds < 60:
        return f"{seconds:.1f} s"
    return _two_units(max(0, int(seconds)), "h", "min", "s")


def uptime(seconds: float) -> str:
    """Return for how long something has run, in words: ``5 min``, ``2 h 05 min``, ``3 d 01 h``."""
    return _two_units(max(0, int(seconds)), "d", "h", "min")


def time_left(seconds: float) -> str:
    """Return how long something will take, in words: ``45 s``, ``3 min``, ``2 h 5 min``."""
    return _two_units(math.ceil(seconds), "h", "min", "s", brief=True)


def _two_units(seconds: int, *units: str, brief: bool = False) -> str:
    """Return whole seconds in the largest unit that there is one of, and in the next one.

    `brief` leaves the second one out where it is 0, and writes it without a 0 in front.
    """
    parts = []
    for unit in units:
        number, seconds = divmod(seconds, _UNITS[unit])
        parts.append((number, unit))
    while len(parts) > 1 and not parts[0][0]:
        del parts[0]
    (first, unit), *rest = parts
    said = f"{first} {unit}"
    if not rest or (brief and not rest[0][0]):
        return said
    second, unit = rest[0]
    return f"{said} {second} {unit}" if brief else f"{said} {second:02d} {unit}"


def amount(size: float) -> str:
    """Return a number of bytes in words: ``512 bytes``, ``1.5 kB``, ``16.8 MB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def usd(amount: float) -> str:
    """Return an amount of money without zeros that say nothing: ``$0.5``, ``$1000``."""
    return f"${amount:.6f}".rstrip("0").rstrip(".")


def spent(cost: float | None) -> str:
    """Return what something has cost so far in words."""
    if cost is None:
        return "cost so far unknown"
    return f"about ${cost:.2f} so far" if cost >= 0.005 else "less than a cent so far"


def listed(items: Iterable[object], nothing: str = "none") -> str:
    """Return ``a, b, c``; `nothing` where there is nothing to list."""
    return ", ".join(map(str, items)) or nothing


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines in which the cells of a column stand below one another."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def some(items: Sequence[object], number: int = 3) -> str:
    """Return the first few of some things, and how many more there are: ``a, b, c and 4 more``."""
    more = len(items) - number
    return listed(items[:number]) + (f" and {more} more" if more > 0 else "")


def folded(names: Iterable[str]) -> str:
    """Return names of nodes as clusters have them written: ``master, node[001-003,007]``."""
    runs: dict[tuple[str, int], list[list[int]]] = {}
    for name in names:
        found = _NUMBERED.fullmatch(name)
        stem, digits = found.groups() if found else (name, "")
        same = runs.setdefault((stem, len(digits)), [])
        if not digits:
            continue
        if same and same[-1][1] == int(digits) - 1:
            same[-1][1] += 1
        else:
            same.append([int(digits), int(digits)])
    return listed(_fold(stem, width, same) for (stem, width), same in runs.items())


def _fold(stem: str, width: int, runs: Sequence[Sequence[int]]) -> str:
    said = [f"{a:0{width}}" if a == b else f"{a:0{width}}-{b:0{width}}" for a, b in runs]
    several = len(said) > 1 or any("-" in one for one in said)
    return f"{stem}[{','.join(said)}]" if several else stem + "".join(said)


def unfolded(text: str) -> list[str]:
    """Return the names, or patterns, that a list of them says, `folded` ones one by one."""
    found = []
    for one in re.findall(r"(?:\[[^]]*\]|[^,\s])+", text):
        folded_one = _FOLDED.fullmatch(one)
        if not folded_one:
            found.append(one)
            continue
        stem, inside = folded_one.groups()
        for run in inside.split(","):
            first, _, last = run.partition("-")
            ends = range(int(first), int(last or first) + 1)
            found += [f"{stem}{number:0{len(first)}}" for number in ends]
    return found


def nearest(wanted: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `wanted`; None where none is like it.

    What a slip of the fingers may have made of a name is the nearest: few letters wrong, lacking,
    too many, or in the other order. Then what has most in common with it.
    """
    import difflib  # for who has mistyped something

    names = list(known)
    slips = {one: _slips(wanted, one) for one in names if abs(len(one) - len(wanted)) <= 2}
    least = min(slips, key=slips.__getitem__, default=None)
    if least is not None and slips[least] <= min(2, len(wanted) // 3):
        return least
    near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.6)
    return near[0] if near else None


def _slips(one: str, other: str) -> int:
    """Return how many letters must be changed, put in, left out or swapped with the next one."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, there in enumerate(other, 1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != there))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == there:
                least = min(least, last[j - 2] + 1)
            row.append(least)
    return row[-1]


def hint(wanted: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` with the known name nearest to `wanted`; "" without one."""
    # Folded names must not hide one another's spelling, so the first one of each is kept.
    spelled: dict[str, str] = {}
    for one in known:
        spelled.setdefault(one.casefold(), one)
    folded = wanted.casefold()
    near = nearest(folded, spelled)
    if near is None and len(folded) > 2:
        parts = (one for one in spelled if folded in one or (len(one) > 3 and one in folded))
        near = next(parts, None)
    return "" if near is None else f" Did you mean '{spelled[near]}'?"


def sounds_secret(key: str) -> bool:
    """Return whether a setting is a secret by its name."""
    return any(word in key.casefold() for word in _CONFIDENTIAL)


def quoted(key: str, value: object) -> str:
    """Return the value of a setting for a message; hidden where the setting sounds secret."""
    if sounds_secret(key):
        return "the value (not shown)"
    text = " ".join(str(value).split())
    return f"'{text[:60]}...'" if len(text) > 63 else f"'{text}'"


def without_comma(number: str) -> str | None:
    """Return a number that has a decimal comma as it is written here, ``0.5``; None for others."""
    return number.strip().replace(",", ".") if re.fullmatch(r"\s*\d*,\d+\s*", number) else None


def explain(error: ValidationError, known: Sequence[str]) -> list[tuple[str, str]]:
    """Return what a validation found: pairs of the setting and a sentence on its value.

    Parameters
    ----------
    error : ValidationError
        What pydantic found.
    known : sequence of str
        The settings there are, to suggest one for a setting that is unknown.
    """
    return [_sentence(one, known) for one in error.errors(include_url=False)]


def _sentence(one: ErrorDetails, known: Sequence[str]) -> tuple[str, str]:
    key = str(one["loc"][0]) if one["loc"] else ""
    value, context, kind = one["input"], one.get("ctx", {}), one["type"]
    shown = quoted(key, value)
    if kind == "extra_forbidden":
        return key, f"is not known here.{hint(key, [name.upper() for name in known])}"
    if kind == "missing":
        return key, "is missing."
    if kind in _PROBLEMS:
        instead = without_comma(str(value)) if kind == "float_parsing" else None
        write = f": write {instead}" if instead else ""
        return key, f"{shown} {_PROBLEMS[kind].format(**context)}{write}."
    if kind in ("value_error", "assertion_error"):
        reason = str(context.get("error", one["msg"])).rstrip(".")
        # A validator that spoke of the value itself need not be introduced by it.
        return key, f"{reason}." if reason.startswith(("'", '"')) else f"{shown} {reason}."
    return key, f"{shown} does not fit: {one['msg'][:1].lower()}{one['msg'][1:]}."


_PROBLEMS = {
    "int_parsing": "is not a whole number",
    "int_parsing_size": "is too large a number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "finite_number": "is not a finite number",
    "bool_parsing": "is neither True nor False",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "is not one of {expected}",
}
