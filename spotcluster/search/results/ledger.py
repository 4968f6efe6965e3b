"""The ledger: a search on disk, so that another client can go on with it.

One JSON document a line. The first is the header: ``kind: "search"``, the format's number, the
search's id, its kind and settings, and the split files (name, size, digest). Each line after it has
candidates (``kind: "candidates"``), a finished evaluation (``kind: "evaluation"``) or one that was
sent again (``kind: "retry"``), by the numbers of candidate and split; or code and versions that are
others from there on (``kind: "accepted"``). A line is on the disk before anybody is told of what it
says. A last line that was cut off by a crash is dropped.

Numbers that JSON does not know (nan, inf) are written as ``{"float": "nan"}``. What JSON cannot
hold at all (the model, and parameters that are neither numbers nor strings) is a pickle, signed
with a key that never leaves this user's spotcluster folder: a ledger from elsewhere is not
unpickled, it can only be resumed by giving the same model and grid again.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import math
import os
import secrets
import time
import uuid
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from spotcluster import files
from spotcluster.errors import SearchError
from spotcluster.search import shipping
from spotcluster.search.cloudpickle_private import loads
from spotcluster.search.data.candidates import Candidate, Part
from spotcluster.search.data.evaluations import Evaluation, Key, Retry
from spotcluster.search.origins import Origins
from spotcluster.search.results.locks import Held, Lock

FORMAT = 3


@dataclass(frozen=True)
class Header:
    """What a search is, without its results.

    Attributes
    ----------
    id : str
        The search's own name.
    kind : str
        The class of search.
    settings : dict
        What else the evaluations depend on (JSON).
    splits : list of dict
        ``path``, ``size`` and ``digest`` of each split file.
    question : str
        A digest of model, grid and splits: two searches with the same one ask the same.
    objects : Any
        What JSON cannot hold.
    origins : Origins or None
        The code and versions that its answers come from; None where a former version of ours did
        not say.
    """

    id: str
    kind: str
    question: str
    settings: dict[str, Any]
    splits: list[dict[str, Any]]
    objects: Any = None
    origins: Origins | None = None


@dataclass
class Record:
    """A ledger as read."""

    header: Header
    candidates: list[Candidate] | None = field(default_factory=list)  # None: cannot be unpickled
    evaluations: dict[Key, Evaluation] = field(default_factory=dict)
    retries: list[Retry] = field(default_factory=list)
    size: int = 0  # of what could be read
    accepted: dict[str, Any] | None = None  # what is to be written of changes, before it goes on

    def agree(self, path: Path, now: Origins, *, accept: bool, all_code: bool = True) -> None:
        """Hold the code and the libraries that there are now against those of the evaluations.

        Raises
        ------
        SearchError
            If one is another, and it is not to go on with it.
        """
        then = self.header.origins
        changes = then.changes(now, all_code=all_code) if then else []
        if not then or not changes:
            return
        if not accept:
            raise SearchError(
                f"The ledger {path} is of other code or libraries: {'; '.join(changes)}.",
                "Start anew with ledger=None or another file; or go on with accept_changes=True,"
                " which keeps the scores that it has and writes into it what has changed.",
            )
        code = now.code if all_code else {**then.code, **now.code}
        self.accepted = {
            "kind": "accepted",
            "at": time.time(),
            "changes": changes,
            **asdict(replace(now, code=code)),
        }


class Ledger:
    """A ledger open for writing, by one search at a time.

    Attributes
    ----------
    record : Record or None
        What was in it when it was locked; None of a new one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record: Record | None = None
        self._id = ""
        self._file: Any = None
        self._lock = Lock(path)

    @classmethod
    @contextlib.contextmanager
    def claimed(cls, path: Path, *, new: bool = True) -> Iterator[Ledger]:
        """Lock a ledger, and then read it: nobody writes between the two, or after.

        Parameters
        ----------
        path : Path
        new : bool
            Whether it may be one that there is not yet.

        Yields
        ------
        Ledger
            It is let go if the body raises, and else stays open.

        Raises
        ------
        SearchError
            If another search is writing to it, or it cannot be read or written.
        """
        ledger = cls(path)
        ledger._open(new=new)
        try:
            ledger.record = ledger._read(new=new)
            yield ledger
        except BaseException:
            ledger._withdraw()
            raise

    @classmethod
    def create(cls, path: Path, header: Header) -> Ledger:
        """Start a ledger."""
        with cls.claimed(path) as ledger:
            ledger.begin(header)
            return ledger

    def begin(self, header: Header) -> None:
        """Write the first line."""
        self._id = header.id
        self._write([_header_line(header)])

    def go_on(self) -> Record:
        """Go on after the last line that could be read."""
        assert self.record is not None
        self._id = self.record.header.id
        self._file.truncate(self.record.size)
        if self.record.accepted is not None:
            self._write([self.record.accepted])
        return self.record

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Write more candidates; they are on the disk when this returns."""
        if candidates and self._file is not None:
            self._write([_candidates_line(self._id, candidates)])

    def append(self, items: Iterable[Evaluation | Retry]) -> None:
        """Write finished evaluations and retries; they are on the disk when this returns."""
        lines = [
            {"kind": "evaluation" if isinstance(item, Evaluation) else "retry", **item.as_plain()}
            for item in items
        ]
        if lines and self._file is not None:
            self._write(lines)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            file, self._file = self._file, None
            self._lock.let_go()
            file.close()
            _open.discard(self)

    def _open(self, *, new: bool) -> None:
        while self._file is None:
            try:
                if new:
                    files.make_parents(self.path)
                handle = os.open(
                    self.path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if new else 0), 0o600
                )
            except OSError as error:
                verb = "written" if new else "read"
                raise SearchError(
                    f"The ledger {self.path} cannot be {verb} ({error.strerror}).",
                    "Name a file in a folder of yours.",
                ) from error
            self._file = os.fdopen(handle, "r+b", buffering=0)
            self._take_lock(handle)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), self.path.stat()):
                    _open.add(self)
                    return
            self.close()  # somebody has put another one in its place meanwhile

    def _take_lock(self, handle: int) -> None:
        try:
            self._lock.take(handle)
        except Held as held:
            self.close()
            raise SearchError(
                f"Another search is writing to the ledger {self.path}: {held}.",
                "Abort that search first, or give this one another ledger.",
            ) from None
        except OSError as error:
            self.close()
            raise SearchError(
                f"The ledger {self.path} cannot be locked ({error.strerror}).",
                "Name a file in another folder.",
            ) from error

    def _read(self, *, new: bool) -> Record | None:
        self._file.seek(0)
        raw = self._file.read()
        return _record(self.path, raw) if raw or not new else None

    def _withdraw(self) -> None:
        """Let go, and leave no empty file behind."""
        with contextlib.suppress(OSError):
            if self._file is not None and not os.fstat(self._file.fileno()).st_size:
                self.path.unlink()
        self.close()

    def _lose(self) -> None:
        """Close the file in a process that was forked: its lock is the parent's."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _write(self, lines: list[dict[str, Any]]) -> None:
        text = "".join(f"{_written(line)}\n" for line in lines)
        rest = memoryview(text.encode())
        size = self._file.seek(0, os.SEEK_END)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            # A full disk: nobody is told of these, so they are no part of it.
            with contextlib.suppress(OSError):
                self._file.truncate(size)
            raise


_open: weakref.WeakSet[Ledger] = weakref.WeakSet()


def _lose_all() -> None:
    for ledger in list(_open):
        ledger._lose()
    _open.clear()


# A lock lasts until the last process that has inherited it has ended, which may be long after.
os.register_at_fork(after_in_child=_lose_all)


def new_path() -> Path:
    """Return where a ledger may be that nobody has named."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return files.private_dir("searches") / f"{stamp}-{uuid.uuid4().hex[:8]}.jsonl"


def read(path: Path) -> Record:
    """Read a ledger, which somebody may be writing.

    Raises
    ------
    SearchError
        If there is none, or it is damaged elsewhere than in its last line.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SearchError(f"The ledger {path} cannot be read ({error.strerror}).") from error
    return _record(path, raw)


def _record(path: Path, raw: bytes) -> Record:
    record: Record | None = None
    size = 0
    lines = raw.splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            item = _from_json(json.loads(_whole(line)))
            if record is None:
                record = Record(_header_from(item))
            else:
                _take(record, item)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if number == len(lines) and record is not None:
                break
            raise SearchError(
                f"Line {number} of the ledger {path} is damaged ({error}).",
                "Start the search again with another ledger.",
            ) from error
        size += len(line)
    if record is None:
        raise SearchError(f"The ledger {path} is empty.", "Start the search again.")
    record.size = size
    return record


def _whole(line: bytes) -> bytes:
    if not line.endswith(b"\n"):
        raise ValueError("it is cut off")
    return line


def _take(record: Record, item: dict[str, Any]) -> None:
    kind = item.pop("kind")
    if kind == "evaluation":
        evaluation = Evaluation(**item)
        record.evaluations.setdefault(evaluation.key, evaluation)
    elif kind == "accepted":
        origins = Origins(item["code"], item["versions"])
        record.header = replace(record.header, origins=origins)
    elif kind == "retry":
        record.retries.append(Retry(**item))
    elif kind == "candidates":
        candidates = _candidates_from(record.header.id, item)
        if candidates is None or record.candidates is None:
            record.candidates = None
        else:
            record.candidates.extend(candidates)
    else:
        raise ValueError(f"unknown kind {kind!r}")


# --- the header -----------------------------------------------------------------------------------


def jsonable(value: Any) -> bool:
    """Return whether JSON gives `value` back as it was."""
    if value is None or type(value) in (bool, int, float, str):
        return True
    if type(value) is list:
        return all(jsonable(item) for item in value)
    if type(value) is dict:
        return all(type(key) is str and jsonable(item) for key, item in value.items())
    return False


def _header_line(header: Header) -> dict[str, Any]:
    line = {
        "kind": "search",
        "format": FORMAT,
        "id": header.id,
        "search": header.kind,
        "question": header.question,
        "settings": header.settings,
        "splits": header.splits,
        **({} if header.origins is None else asdict(header.origins)),
    }
    return line if header.objects is None else {**line, **_sealed(header.id, header.objects)}


def _header_from(item: dict[str, Any]) -> Header:
    if item.get("kind") != "search":
        raise ValueError("not the header of a search")
    if item["format"] != FORMAT:
        raise ValueError(f"its format is {item['format']}, ours is {FORMAT}")
    header = Header(
        id=item["id"],
        kind=item["search"],
        question=item["question"],
        settings=item["settings"],
        splits=item["splits"],
        origins=Origins(item["code"], item["versions"]) if "code" in item else None,
    )
    return replace(header, objects=_unsealed(header.id, item))


# --- candidates -----------------------------------------------------------------------------------


def _candidates_line(search_id: str, candidates: Sequence[Candidate]) -> dict[str, Any]:
    params = [candidate.params for candidate in candidates]
    parts = list(dict.fromkeys(candidate.part for candidate in candidates))  # few, and some long
    numbers = {part: number for number, part in enumerate(parts)}
    line = {
        "kind": "candidates",
        "orders": [candidate.order for candidate in candidates],
        "parts": [part and part.as_plain() for part in parts],
        "part": [numbers[candidate.part] for candidate in candidates],
        "more": [candidate.more for candidate in candidates],
    }
    return (
        {**line, "params": params} if jsonable(params) else {**line, **_sealed(search_id, params)}
    )


def _candidates_from(search_id: str, item: dict[str, Any]) -> list[Candidate] | None:
    params = item["params"] if "params" in item else _unsealed(search_id, item)
    if params is None:
        return None
    parts = [part and Part.from_plain(part) for part in item["parts"]]
    return [
        Candidate(setting, order, parts[number], more)
        for setting, order, number, more in zip(
            params, item["orders"], item["part"], item["more"], strict=True
        )
    ]


# --- what JSON cannot hold ------------------------------------------------------------------------


def _sealed(search_id: str, thing: Any) -> dict[str, str]:
    data = shipping.pack(thing)
    return {"pickle": base64.b64encode(data).decode(), "signature": _signature(search_id, data)}


def _unsealed(search_id: str, item: dict[str, Any]) -> Any:
    """Return what was sealed by this user on this computer, and None of what was not."""
    if "pickle" in item:
        data = base64.b64decode(item["pickle"])
        if hmac.compare_digest(_signature(search_id, data), item["signature"]):
            # The signature's key is in a private folder. What the pickle needs may be gone; then
            # the caller asks for the model and the grid again.
            with contextlib.suppress(Exception):
                return loads(data)
    return None


def _signature(search_id: str, data: bytes) -> str:
    path = files.private_dir() / "ledger.key"
    if not path.exists():
        files.write_private(path, secrets.token_bytes(32))
    return hmac.new(files.read_private(path), search_id.encode() + data, hashlib.sha256).hexdigest()


# --- numbers that JSON does not know --------------------------------------------------------------


def _written(line: dict[str, Any]) -> str:
    try:
        return json.dumps(line, allow_nan=False)
    except ValueError:  # few lines have a number that JSON does not know
        return json.dumps(_to_json(line), allow_nan=False)


def _to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"float"} and value["float"] in ("nan", "inf", "-inf"):
            return float(value["float"])
        return {key: _from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    return value
