"""What is in a ledger: its lines, as they are written and read.

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
import gc
import hashlib
import hmac
import json
import math
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from spotcluster import files
from spotcluster.errors import SearchError
from spotcluster.search import shipping
from spotcluster.search.cloudpickle_private import loads
from spotcluster.search.data.candidates import Candidate, Part
from spotcluster.search.data.evaluations import Retry
from spotcluster.search.origins import Origins
from spotcluster.search.results.finished import Finished

FORMAT = 3
_AT_ONCE = 500_000  # bytes that are read
_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError)  # of a damaged line


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
    evaluations: Finished = field(default_factory=Finished)
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


def read(path: Path) -> Record:
    """Read a ledger, which somebody may be writing.

    Raises
    ------
    SearchError
        If there is none, or it is damaged elsewhere than in its last line.
    """
    try:
        with path.open("rb") as reading:
            return of_lines(path, reading)
    except OSError as error:
        raise SearchError(f"The ledger {path} cannot be read ({error.strerror}).") from error


def of_lines(path: Path, lines: BinaryIO) -> Record:
    record: Record | None = None
    number = 0
    with _no_collection():
        while some := lines.readlines(_AT_ONCE):
            items, error = parsed(some)
            place = 0
            try:
                if record is None and items:
                    record, place = Record(header_from(items[0])), 1
                if record is not None:
                    for count in taken(record, items[place:]):
                        place += count
            except _DAMAGE as wrong:
                error = wrong
            if record is not None:
                record.size += sum(map(len, some[:place]))
            number += place
            if error is not None:
                is_last = place == len(some) - 1 and not lines.read(1)
                if record is not None and is_last:  # cut off by a crash
                    break
                raise SearchError(
                    f"Line {number + 1} of the ledger {path} is damaged ({error}).",
                    "Start the search again with another ledger.",
                ) from error
    if record is None:
        raise SearchError(f"The ledger {path} is empty.", "Start the search again.")
    return record


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Have nobody look for garbage among a million new things that are none."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def parsed(lines: Sequence[bytes]) -> tuple[list[Any], Exception | None]:
    """Return what lines say, up to the first that is damaged, and how it is."""
    items: list[Any] = []
    try:
        # All at once takes half the time.
        if lines[-1].endswith(b"\n"):
            items = _of_json(b"[%s]" % b",".join(lines))
        if len(items) == len(lines):
            return items, None
    except _DAMAGE:
        pass  # in one of them
    items = []
    try:
        for line in lines:
            items.append(_of_json(_whole(line)))
    except _DAMAGE as error:
        return items, error
    return items, None


def _whole(line: bytes) -> bytes:
    if not line.endswith(b"\n"):
        raise ValueError("it is cut off")
    return line


def taken(record: Record, items: Sequence[Any]) -> Iterator[int]:
    """Take what lines say; yield how many it has taken, again and again."""
    for kind, group in groupby(items, _kind):
        some = list(group)
        if kind == "evaluation":
            with contextlib.suppress(*_DAMAGE):  # of one of them, which is found below
                record.evaluations.read(some)
                yield len(some)
                continue
        for item in some:
            _take(record, kind, item)
            yield 1


def _kind(item: Any) -> Any:
    return item.pop("kind", None) if isinstance(item, dict) else None


def _take(record: Record, kind: Any, item: Any) -> None:
    if kind == "evaluation":
        record.evaluations.read([item])
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


def header_line(header: Header) -> dict[str, Any]:
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


def header_from(item: dict[str, Any]) -> Header:
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


def candidates_line(search_id: str, candidates: Sequence[Candidate]) -> dict[str, Any]:
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


_encode = json.JSONEncoder(allow_nan=False).encode
_MARK = b'{"float": '


def in_json(line: dict[str, Any]) -> str:
    try:
        return _encode(line)
    except ValueError:  # few lines have such a number, and looking for one takes longest of all
        return _encode(_to_json(line))


def _of_json(text: bytes) -> Any:
    return json.loads(text, object_hook=_number if _MARK in text else None)


def _number(item: dict[str, Any]) -> Any:
    if len(item) == 1 and item.get("float") in ("nan", "inf", "-inf"):
        return float(item["float"])
    return item


def _to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    return value
