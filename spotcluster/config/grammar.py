"""The grammar of the config file: sections and their entries, each with its line.

This is StarCluster's INI: section and key names in any case, lists over several lines, comments
after white space and ``#`` or ``;``. Problems are collected, so that one reading finds them all.
"""

from __future__ import annotations

import configparser
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from spotcluster.config.problems import Problem

_HEADER = re.compile(r"\[(?P<header>[^\]]*)\]\s*(?:$|[#;])")
_BODY = "[\0]\n"  # the one header that the parser of a section's body sees; no text can hold it


@dataclass(frozen=True)
class Entry:
    """One ``KEY = value``; the key in lower case, the value without comments."""

    key: str
    value: str = field(repr=False)  # it may be a secret
    line: int
    section: Section = field(repr=False)


@dataclass(frozen=True, eq=False)
class Section:
    """One ``[kind name]``; the kind in lower case. `source` is the file, for messages."""

    kind: str
    name: str
    line: int
    source: str
    entries: dict[str, Entry] = field(default_factory=dict, repr=False)

    @property
    def title(self) -> str:
        """The section as it is written in the file."""
        return f"{self.kind} {self.name}".strip()

    def problem(self, text: str, *, key: str = "", line: int = 0) -> Problem:
        """Return a problem in this section, at its header unless a line is given."""
        return Problem(self.source, line or self.line, text, section=self.title, key=key)


NAMED = ("key", "cluster", "plugin", "volume", "permission")
PLAIN = ("global", "aws info")
_ALIASES = {"vol": "volume"}


def read(text: str, source: str) -> tuple[list[Section], list[Problem]]:
    """Read the text of a config file.

    Parameters
    ----------
    text : str
        The whole file.
    source : str
        Its name, for messages.

    Returns
    -------
    sections : list of Section
        Those that could be read, in the file's order.
    problems : list of Problem
        Every line that could not, every duplicate.
    """
    problems: list[Problem] = []
    sections: list[Section] = []
    for header, line, body in _split(text):
        if header is None:
            problems += [
                Problem(source, number, "this line stands before the first [section].")
                for number, content in body
                if content.strip() and content.lstrip()[0] not in "#;"
            ]
            continue
        kind, name = _title(header)
        section = Section(kind, name, line, source)
        problems += _fill(section, body)
        if _odd(header):
            problems.append(section.problem(f"the name of this section holds {_odd(header)}."))
            continue
        earlier = next((one for one in sections if _same(one, section)), None)
        if earlier:
            problems.append(section.problem(f"this section is already on line {earlier.line}."))
        else:
            sections.append(section)
    return sections, problems


def _split(text: str) -> Iterator[tuple[str | None, int, list[tuple[int, str]]]]:
    """Yield the header, its line number, and the numbered lines of each section's body."""
    header: str | None = None
    start = 0
    body: list[tuple[int, str]] = []
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        found = _HEADER.match(line)
        if found:
            yield header, start, body
            header, start, body = found["header"], number, []
        else:
            body.append((number, line))
    yield header, start, body


def _title(header: str) -> tuple[str, str]:
    """Split ``cluster iptemplate`` into kind and name; ``aws info`` is a kind."""
    words = header.split(None, 1)
    whole = " ".join(header.split()).casefold()
    if whole in PLAIN or not words:
        return whole, ""
    kind = words[0].casefold()
    return _ALIASES.get(kind, kind), words[1].strip() if len(words) > 1 else ""


def _same(one: Section, other: Section) -> bool:
    return (one.kind, one.name) == (other.kind, other.name)


class _Parser(configparser.RawConfigParser):
    """Reads one section's body; every key becomes unique by the line that it stands on."""

    SECTCRE = re.compile(r"\[(?P<header>\0)\]")

    def __init__(self) -> None:
        super().__init__(
            strict=False,  # duplicates are found by us, so that all of them are reported
            interpolation=None,
            inline_comment_prefixes=("#", ";"),
            default_section="\0\0",
        )
        self.line = 0

    def optionxform(self, optionstr: str) -> str:
        return f"{optionstr.lower()}\0{self.line}"

    def feed(self, body: Iterable[tuple[int, str]]) -> Iterator[str]:
        """Yield the lines to parse, keeping the number of the one that is being parsed."""
        yield _BODY
        for number, content in body:
            self.line = number
            yield content


def _fill(section: Section, body: list[tuple[int, str]]) -> list[Problem]:
    """Put the entries of a body into the section; return the problems in it."""
    problems: list[Problem] = []
    clean = [(number, content) for number, content in body if "\0" not in content]
    held = {number for number, _ in body} - {number for number, _ in clean}
    problems += [section.problem("this line holds a NUL.", line=number) for number in held]
    parser = _Parser()
    try:
        parser.read_file(parser.feed(clean))
    except configparser.ParsingError as error:
        # The line itself is not repeated: it may be a secret that has lost its key.
        problems += [
            section.problem(
                "this line is neither a [section] nor KEY = value nor a comment.",
                line=clean[index - 2][0],
            )
            for index, _ in error.errors
        ]
    for unique, value in parser.items("\0") if parser.has_section("\0") else ():
        key, _, number = unique.rpartition("\0")
        line = int(number)
        if not key:  # reported above: "= value"
            continue
        if key.startswith("["):
            problems.append(section.problem("a [section] has a line of its own.", line=line))
            continue
        if key in section.entries:
            first = section.entries[key].line
            problems.append(
                section.problem(f"this key is already on line {first}.", key=key, line=line)
            )
        elif odd := _odd(key) or _odd(value.replace("\n", "")):
            problems.append(section.problem(f"the line holds {odd}.", key=key, line=line))
        else:
            section.entries[key] = Entry(key, value.strip(), line, section)
    return problems


def _odd(text: str) -> str:
    """Name the first character that cannot be seen: it came with a copy from a web page."""
    for char in text:
        if not char.isprintable() and char != "\t":
            return f"the invisible character U+{ord(char):04X}"
    return ""
