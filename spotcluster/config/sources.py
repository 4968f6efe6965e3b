"""The files that a config is made of: the first one, and those that it includes.

As in StarCluster, an included file is read after the one that includes it, in the order in which
they are XX"""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spotcluster.config import grammar, shapes
from spotcluster.config.grammar import Entry, Section
from spotcluster.config.names import split
from spotcluster.config.problems import Problem
from spotcluster.errors import UsageError

_DEEPEST = 20  # no config that a person wrote goes deeper
_SECRETS = ("aws_secret_access_key", "aws_session_token")


@dataclass
class Sources:
    """What all files say.

    Attributes
    ----------
    sections : list of Section
        One for each title; entries keep the file and the line that they come from.
    problems : list of Problem
        What cannot be read, and includes that lead nowhere or in a circle.
    names : list of str
        The files, as messages call them, in the order in which they were read.
    files : set of Path
        The same without links.
    """

    sections: list[Section] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)


def read(path: Path) -> Sources:
    """Read a config file and what it includes.

    Raises
    ------
    UsageError
        There is no such file, or it cannot be read.
    """
    sources = Sources()
    try:
        raw = path.read_bytes()
        _refuse_open_secrets(sources, path, _add_file(sources, path, raw, ()))
    except FileNotFoundError:
        raise UsageError(
            f"The config file {path} does not exist.",
            "`spotcluster config init` writes a first one.",
        ) from None
    except OSError as error:
        raise UsageError(f"The config file {path} cannot be read: {_reason(error)}.") from error
    return sources


def read_bytes(raw: bytes, path: Path) -> tuple[Sources, bool]:
    """Read what is to be written to `path`; tell too whether it holds secrets."""
    sources = Sources()
    return sources, _has_secrets(_add_file(sources, path, raw, ()))


def read_text(text: str, name: str, path: Path | None = None) -> Sources:
    """Read the text of a config file; without its path, what it includes must be absolute."""
    sources = Sources()
    _add(sources, text, name, path, ())
    return sources


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _add_file(sources: Sources, path: Path, raw: bytes, chain: tuple[Path, ...]) -> list[Section]:
    """Add what a file says, whose content has been read; return the file's own sections."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        sources.names.append(str(path))
        line = raw[: error.start].count(b"\n") + 1
        sources.problems.append(Problem(str(path), line, "this line is not UTF-8 text."))
        return []
    return _add(sources, text, str(path), path, chain)


def _refuse_open_secrets(sources: Sources, path: Path, sections: Iterable[Section]) -> None:
    secret = next(_secrets(sections), None)
    if secret and path.stat().st_mode & 0o077:
        text = (
            "the file holds this and can be read by other users; run"
            f" `chmod 600 {shlex.quote(str(path))}`."
        )
        sources.problems.append(secret.section.problem(text, key=secret.key, line=secret.line))


def _has_secrets(sections: Iterable[Section]) -> bool:
    return next(_secrets(sections), None) is not None


def _secrets(sections: Iterable[Section]) -> Iterator[Entry]:
    """Yield the secrets that sections hold."""
    for section in sections:
        if section.kind == "aws info":
            own = section.entries
            yield from (own[key] for key in _SECRETS if key in own and own[key].value)


def _add(
    sources: Sources, text: str, name: str, path: Path | None, chain: tuple[Path, ...]
) -> list[Section]:
    """Add what a text says, then what it includes; return the text's own sections."""
    sections, problems = grammar.read(text, name)
    sources.names.append(name)
    sources.problems += problems
    if path:
        sources.files.add(path.resolve())
    for section in sections:
        _merge(sources.sections, section)
    own = [section for section in sections if section.kind == "global"]
    for entry in [section.entries["include"] for section in own if "include" in section.entries]:
        for item in split(entry.value):
            _include(sources, entry, item, path, chain)
    return sections


def _merge(known: list[Section], section: Section) -> None:
    """Add a section; one that another file has begun goes on, a key said again is said anew."""
    same = [one for one in known if (one.kind, one.name) == (section.kind, section.name)]
    earlier = same[0] if same else None
    if earlier is None:
        # A copy of its own: the entries of later files come into it.
        entries = dict(section.entries)
        known.append(Section(section.kind, section.name, section.line, section.source, entries))
        return
    earlier.entries.update(section.entries)


def _include(
    sources: Sources, entry: Entry, item: str, path: Path | None, chain: tuple[Path, ...]
) -> None:
    """Add the files that one item of an INCLUDE means."""
    here = (*chain, path.resolve()) if path else chain
    try:
        for one in _meant(item, path):
            real = Path(os.path.realpath(one))
            _refuse_circle(real, here)
            if real not in sources.files:  # two files may include the same one: it is read once
                _refuse_open_secrets(sources, one, _add_file(sources, one, one.read_bytes(), here))
    except ValueError as error:
        where = entry.section
        sources.problems.append(where.problem(f"{error}.", key=entry.key, line=entry.line))
    except OSError as error:
        text = f"'{item}' cannot be read: {_reason(error)}."
        sources.problems.append(entry.section.problem(text, key=entry.key, line=entry.line))


def _meant(item: str, path: Path | None) -> list[Path]:
    """Return the files that an item means, which may be a pattern as a shell has it."""
    if "://" in item:
        raise ValueError(f"'{item}' is a URL; fetch the file, look at it, and include the copy")
    try:
        wanted = Path(shapes.expand(item))
    except ValueError as error:
        raise ValueError(f"'{item}' {error}") from None
    if not wanted.is_absolute():
        if path is None:
            raise ValueError(f"'{item}' is a relative path, and what includes it is not a file")
        wanted = path.resolve().parent / wanted
    if not glob.has_magic(str(wanted)):
        return [wanted]
    found = [Path(one) for one in sorted(glob.glob(str(wanted)))]  # noqa: PTH207 - absolute
    if not found:
        raise ValueError(f"there is no file like '{item}'")
    return found


def _refuse_circle(real: Path, here: tuple[Path, ...]) -> None:
    if real in here:
        circle = " -> ".join(map(str, [*here[here.index(real) :], real]))
        raise ValueError(f"the files include one another in a circle: {circle}")
    if len(here) >= _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} files include one another")
