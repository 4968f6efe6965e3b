"""What PACKAGES names: requirements, files of them, lock files, what this computer has.

All of it is read and checked here, so that whatever is wrong is said before anything is made, and
comes to one form: requirements as pip takes them. A cluster remembers by a digest what it was
started with; the master has a copy, for nodes that join from a computer whose files have changed,
or that has none.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from spotcluster.plugins import conda

THIS = "@this"
"""Names what this computer's environment has."""

_FILE = re.compile(r"(?P<option>-r|-c)\s*(?P<after>\S.*)|(?P<bare>.*(?:\.ya?ml|(?:^|/)uv\.lock))")
_NESTED = re.compile(
    r"(?P<kind>-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(?P<file>\S.*)"
)
_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_HASH = re.compile(r"--hash(?:=|\s+)(?:sha256|sha384|sha512):[0-9a-f]{64,128}")
_IS_LOCAL = re.compile(r"(?:-e|--editable)\b|\.{0,2}/|file:|.*@\s*file:", re.IGNORECASE)
_EXPORT = (
    *("export", "--frozen", "--offline", "--no-python-downloads", "--quiet", "--no-header"),
    *("--no-annotate", "--no-default-groups", "--format", "requirements-txt"),
)
_EXPORT_LIMIT = 60.0


@dataclass(frozen=True)
class Content:
    """What files and this computer's environment come to.

    Attributes
    ----------
    plain : tuple of str
        Requirements.
    hashed : tuple of str
        Those with hashes, of which pip and uv then demand that all have some.
    constraints : tuple of str
        Versions of what may be needed.
    left_out : tuple of str
        What no other computer can have, as it is on no index.
    python : str
        The Python minor version that an environment asks for; empty where it asks for none.
    conda : str
        The lock of what conda has, see `conda.lock`; empty where nothing is from there.
    """

    plain: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    python: str = ""
    conda: str = ""

    @property
    def text(self) -> str:
        """It as text, from which `parse` makes it again."""
        given = asdict(self)
        if not self.conda:  # as it was before there was any: clusters run that go by its digest
            del given["conda"]
        return json.dumps(given)

    @property
    def digest(self) -> str:
        """What tells it from any other."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:32]

    @classmethod
    def parse(cls, text: str) -> Content:
        """Return what `text` says.

        Raises
        ------
        ValueError
            It is not of that form.
        """
        given = json.loads(text)
        try:
            python, lock = given.pop("python"), given.pop("conda", "")
            lists = {key: tuple(value) for key, value in given.items()}
            return cls(**lists, python=python, conda=lock)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("it is no content of requirements") from error


def is_source(item: str) -> bool:
    """Return whether an item of PACKAGES is no requirement, but names some."""
    return item == THIS or bool(_FILE.fullmatch(item))


def absolute(item: str, folder: Path) -> str:
    """Return an item that names a file with that file's whole path."""
    found = _FILE.fullmatch(item)
    if not found:
        return item
    path = folder / Path(found["after"] or found["bare"]).expanduser()
    return f"{found['option'] or '-r'} {path}"


def content(items: Iterable[str]) -> Content:
    """Return what items of PACKAGES come to that are no requirements themselves.

    Raises
    ------
    ValueError
        A file is not there, or something in it cannot be had on nodes. The sentence names the
        file and the line.
    """
    return read(items)[0]


def read(items: Iterable[str]) -> tuple[Content, conda.Asked | None]:
    """Return `content`, and what a file asks conda for, of which there is no lock yet.

    Raises
    ------
    ValueError
        As `content` does.
    """
    readings = [_reading(item) for item in items if is_source(item)]
    found = [one.content() for one in readings]
    asked = list(dict.fromkeys(one for some in readings for one in some.asked))
    if len(asked) > 1:
        raise ValueError(
            f"'{asked[1].path}' and '{asked[0].path}' both name packages of conda's; a node has one"
            " environment, so write them into one file"
        )
    whole = Content(
        plain=_all(one.plain for one in found),
        hashed=_all(one.hashed for one in found),
        constraints=_all(one.constraints for one in found),
        left_out=_all(one.left_out for one in found),
        python=next((one.python for one in found if one.python), ""),
    )
    return whole, next(iter(asked), None)


def _all(lists: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for some in lists for one in some))


def _reading(item: str) -> _Reading:
    reading = _Reading()
    if item == THIS:
        reading.this()
    elif found := _FILE.fullmatch(item):
        reading.file(Path(found["after"] or found["bare"]), constrains=found["option"] == "-c")
    return reading


@dataclass
class _Line:
    place: str
    text: str
    hashes: tuple[str, ...]


@dataclass
class _Reading:
    """What has been read so far."""

    lines: list[_Line] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    python: str = ""
    wants_hashes: bool = False
    reading: list[Path] = field(default_factory=list)
    asked: list[conda.Asked] = field(default_factory=list)

    def content(self) -> Content:
        """Return it; hashes are of all or of none."""
        hashed = [one for one in self.lines if one.hashes]
        if hashed or self.wants_hashes:
            for one in self.lines:
                if not one.hashes:
                    raise ValueError(
                        f"{one.place}: {_shown(one.text)} has no hash, but others have one, and"
                        " then pip takes nothing without"
                    )
        return Content(
            plain=tuple(dict.fromkeys(one.text for one in self.lines if not one.hashes)),
            hashed=tuple(" ".join([one.text, *one.hashes]) for one in hashed),
            constraints=tuple(dict.fromkeys(self.constraints)),
            left_out=tuple(sorted(set(self.left_out))),
            python=self.python,
        )

    def file(self, path: Path, *, constrains: bool = False) -> None:
        """Take in a file of requirements, or of constraints, or a lock file."""
        if path in self.reading:
            raise ValueError(f"'{path}' includes itself")
        self.reading.append(path)
        if path.name == "uv.lock":
            self._lines(_exported(path), str(path), path.parent, from_lock=True)
        elif path.suffix in (".yml", ".yaml"):
            self._environment(path)
        else:
            text = _read(path)
            self._lines(text, str(path), path.parent, constrains=constrains)
        self.reading.pop()

    def this(self) -> None:
        """Take in what this computer's environment has from indexes."""
        seen = set()
        for found in importlib.metadata.distributions():
            name = found.metadata["Name"]
            if not name or canonicalize_name(name) in seen:  # of two Python imports the first
                continue
            seen.add(canonicalize_name(name))
            line = _as_requirement(name, found.version, found.read_text("direct_url.json"))
            if line:
                self.lines.append(_Line(THIS, line, ()))
            else:
                self.left_out.append(name)
        self.lines.sort(key=lambda one: one.text.casefold())

    def _environment(self, path: Path) -> None:
        """Take in a conda environment: its part for pip, and what it asks conda for."""
        asked = conda.read(_read(path), str(path))
        self._lines(asked.pip, f"{path}, pip", path.parent)
        self.python = asked.python or self.python
        if asked.specs:
            self.asked.append(asked)

    def _lines(
        self,
        text: str,
        name: str,
        folder: Path,
        *,
        constrains: bool = False,
        from_lock: bool = False,
    ) -> None:
        for number, line in _joined(text):
            place = f"'{name}'" if from_lock else f"'{name}' line {number}"
            if _IS_LOCAL.match(line):
                if "://" in line and "file:" not in line:
                    raise ValueError(
                        f"{place}: {_shown(line)} is editable, which nothing on a node is to be;"
                        " write NAME @ git+https://... without -e"
                    )
                if not from_lock:
                    raise ValueError(
                        f"{place}: {_shown(line)} is a file or folder of this computer, which nodes"
                        " do not have"
                    )
                self.left_out.append(line.removeprefix("-e ").partition(" ")[0])
            elif found := _NESTED.fullmatch(line):
                nested = folder / Path(found["file"].strip("'\"")).expanduser()
                self.file(nested, constrains=constrains or found["kind"] in ("-c", "--constraint"))
            elif line == "--require-hashes":
                self.wants_hashes = True
            else:
                self._requirement(line, place, constrains=constrains)

    def _requirement(self, line: str, place: str, *, constrains: bool) -> None:
        text, *options = re.split(r"\s+(?=--)", line)
        if "${" in line:
            raise ValueError(f"{place}: variables of the environment are not put in here")
        if text.startswith("-"):
            option = re.split(r"[\s=]", text)[0]
            where = (
                "; INDEX_URL, EXTRA_INDEX_URL say it" if "index" in option or option == "-i" else ""
            )
            raise ValueError(f"{place}: nodes are not given the option '{option}'{where}")
        wrong = [one for one in options if not _HASH.fullmatch(one)]
        if wrong:
            raise ValueError(f"{place}: {_shown(wrong[0])} is no hash that is taken here")
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            raise ValueError(
                f"{place}: {_shown(text)} is not a requirement that pip takes"
            ) from None
        if has_login(wanted.url or ""):
            raise ValueError(f"{place}: the URL of {wanted.name} holds a name or password")
        if not constrains:
            hashes = tuple(re.sub(r"\s+", "=", one) for one in options)
            self.lines.append(_Line(place, text, hashes))
            return
        if options:
            raise ValueError(f"{place}: hashes of constraints are not checked; name it with -r")
        self.constraints.append(text)


def has_login(url: str) -> bool:
    """Return whether a URL holds a name or password; ``git@`` of SSH is none."""
    parts = urlsplit(url)
    return parts.password is not None or (parts.username is not None and "ssh" not in parts.scheme)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"'{path}' does not exist") from None
    except UnicodeDecodeError:
        raise ValueError(f"'{path}' is not UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"'{path}' cannot be read: {error.strerror}") from None


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a requirements file as pip has them: joined, without comments."""
    held, first = "", 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        first = first or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            held += line[:-1] + " "
            continue
        if whole := _COMMENT.sub("", held + line).strip():
            yield first, whole
        held, first = "", 0


def _shown(text: str) -> str:
    """Return some of a line for a message, without what may be a password in it."""
    hidden = re.sub(r"//[^/\s@]*@", "//...@", text)
    return f"'{hidden[:60]}...'" if len(hidden) > 63 else f"'{hidden}'"


def _exported(path: Path) -> str:
    """Return what a lock file of uv's has for the project beside it, as requirements."""
    from uv import find_uv_bin

    _read(path)
    if not (path.parent / "pyproject.toml").exists():
        raise ValueError(f"'{path}' has no pyproject.toml beside it, which says what is needed")
    words = [find_uv_bin(), *_EXPORT, "--project", str(path.parent)]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=_EXPORT_LIMIT, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"'{path}': uv did not read it within {_EXPORT_LIMIT:.0f} s") from None
    if done.returncode:
        why = " ".join(done.stderr.split()).removeprefix("error: ")
        raise ValueError(f"'{path}': uv cannot read it: {why[:300]}")
    return done.stdout


def _as_requirement(name: str, version: str, direct: str | None) -> str:
    """Return what brings an installed package elsewhere; empty where nothing does, see PEP 610."""
    if direct is None:
        return f"{name}=={version.split('+', 1)[0]}"  # a local build (2.1+cpu) is on no index
    try:
        said: dict[str, Any] = json.loads(direct)
        url = str(said["url"])
    except (ValueError, KeyError, TypeError):
        return ""
    if urlsplit(url).scheme in ("", "file") or has_login(url):
        return ""
    if "vcs_info" in said:
        info = said["vcs_info"]
        part = f"#subdirectory={said['subdirectory']}" if said.get("subdirectory") else ""
        return f"{name} @ {info['vcs']}+{url}@{info['commit_id']}{part}"
    if "archive_info" in said:
        hashes = said["archive_info"].get("hashes") or {}
        digest = f"#sha256={hashes['sha256']}" if "sha256" in hashes else ""
        return f"{name} @ {url}{digest}"
    return ""


def versioned(lines: Sequence[str]) -> list[str]:
    """Return the names of requirements that say more than a name: a version, a URL."""
    given = [Requirement(one.split(" --hash")[0]) for one in lines]
    return [one.name for one in given if one.specifier or one.url]
