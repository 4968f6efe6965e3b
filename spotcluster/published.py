"""What running searches say of themselves to whoever asks: the form of it, and how it is read.

A search runs in one process, on a laptop or on the master, and whoever asks how the cluster does is
another one, perhaps on another computer. So a search says how far it is in two places:

- in a JSON file in the folder of its user, named after the search's id, for those on the same
  computer;
- in the label of each message that it sends to the engines, which the controller keeps with the
  message: what the message is, how far the search is, and its best candidate. Any client of the
  controller can ask for it.

Who wants it to end puts a file beside the first one.

This belongs to no room: who shows it must not wait for what a search has to import.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spotcluster import files

FORMAT = 1
SILENT = 30.0  # seconds without a word after which a search that says it runs does not
SHOWN = 3600.0  # seconds that a search which has ended is shown


def key_of(info: Mapping[str, Any]) -> bytes:
    """Return what tells a controller from others, of its connection file.

    With CurveZMQ messages are not signed, so that all controllers have the same, empty key.
    """
    return str(info.get("curve_serverkey") or info["key"]).encode()


def controller_of(session_key: bytes) -> str:
    """Return the name by which a search tells which controller it works with, and not its key."""
    return hashlib.sha256(b"spotcluster controller " + session_key).hexdigest()[:16]


def folder() -> Path:
    """Return where the searches of this computer's user say how far they are."""
    return files.private_dir("searches")


def read() -> list[dict[str, Any]]:
    """Return what the searches of this computer have said last, the latest first."""
    texts = []
    with contextlib.suppress(OSError):  # to look, nothing has to be there
        for path in folder().glob("*.progress"):
            with contextlib.suppress(OSError):
                texts.append(path.read_text(encoding="utf-8", errors="replace"))
    return parse("\n".join(texts))


def ask_to_end(search: str) -> None:
    """Ask a search of this computer's user to abort; it looks once a second."""
    files.write_private(_wish(search), "")


def is_asked_to_end(search: str) -> bool:
    """Return whether somebody has asked a search to abort, once."""
    try:
        _wish(search).unlink()
    except OSError:
        return False
    return True


def on_master(search: str, kind: str) -> str:
    """Return where a search on the master has its file of a kind, below its user's home."""
    return f"~/.spotcluster/searches/{_named(search)}.{kind}"


def _wish(search: str) -> Path:
    return folder() / f"{_named(search)}.abort"


def _named(search: str) -> str:
    if not _name(search):
        raise ValueError(f"{search!r} is the name of no search")
    return search


def parse(text: str) -> list[dict[str, Any]]:
    """Return what searches have said, one JSON document a line, the latest first.

    Lines that are something else, cut off, or of another version perhaps, are passed over.
    """
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            said = json.loads(line)
            if isinstance(said, dict) and said.get("format") == FORMAT and _fits(said, _DOCUMENT):
                found.append(said)
    return sorted(found, key=lambda said: -float(said["updated"]))


def label_of(text: Any) -> dict[str, Any]:
    """Return what a message's label says, as `Progress.label` writes it; empty for another one."""
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        said = json.loads(text)
        if isinstance(said, dict) and said.get("spotcluster") == FORMAT and _fits(said, _LABEL):
            return said
    return {}


def _fits(said: Mapping[str, Any], form: Mapping[str, Any]) -> bool:
    """Return whether all of a form is there. Anybody on the cluster may have written it."""
    return all(
        check(said[name]) if name in said else name in _MAY_LACK for name, check in form.items()
    )


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _or_none(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _name(value: Any) -> bool:
    """Return whether it may be a search's id, which names files."""
    return _text(value) and value.isalnum()


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _moment(value: Any) -> bool:
    return _number(value) and 0 <= value < _LAST_MOMENT


def _params(value: Any) -> bool:
    return isinstance(value, dict)


def _best(value: Any) -> bool:
    return isinstance(value, dict) and _fits(value, _BEST)


_MAY_LACK = ("per_second", "seconds_left")
_LAST_MOMENT = 4e9  # in the year 2096: a date can be made of it
_BEST = {
    "validation": _or_none(_number),
    "validation_error": _or_none(_number),
    "finished": _count,
    "splits": _count,
    "params": _params,
}
_DOCUMENT: dict[str, Callable[[Any], bool]] = {
    "id": _name,
    "kind": _text,
    "controller": _text,
    "started": _moment,
    "updated": _moment,
    "running": lambda value: isinstance(value, bool),
    "done": _count,
    "total": _count,
    "per_second": _or_none(_number),
    "seconds_left": _or_none(_number),
    "bests": lambda value: isinstance(value, list) and all(_best(one) for one in value),
    "remarks": lambda value: isinstance(value, list) and all(_text(one) for one in value),
}
_LABEL: dict[str, Callable[[Any], bool]] = {
    "search": _name,
    "kind": _text,
    "params": _params,
    "split": _count,
    "evaluations": _count,
    "done": _count,
    "total": _count,
    "started": _moment,
    "best": _or_none(_best),
}


def merged(
    documents: Sequence[Mapping[str, Any]],
    labels: Sequence[Mapping[str, Any]],
    controller: str,
    now: float,
    *,
    ended_too: bool = False,
) -> list[dict[str, Any]]:
    """Return the searches of a controller: those that run, or else the one that ended last.

    Parameters
    ----------
    documents : sequence of mapping
        What searches have said in files, see `parse`; those of other controllers are left out.
    labels : sequence of mapping
        Of the messages that the controller has, the latest first. A search that has no file here
        is known by them alone, with its best candidate only.
    controller : str
        See `controller_of`.
    now : float
        Seconds since 1970.
    ended_too : bool
        Whether all that have ended are wanted besides, as long as they have a file.

    Returns
    -------
    list of dict
        As in the files, with a ``state``: ``running``, ``silent`` (it should run and says nothing,
        as when it was killed), ``finished`` or ``stopped``.
    """
    found: dict[str, dict[str, Any]] = {}
    for one in sorted(documents, key=lambda one: float(one["updated"])):
        if one["controller"] == controller:
            found[one["id"]] = {**one, "state": _state(one, now)}
    for label in labels:
        if found.get(label["search"], {}).get("state") not in ("running", "labelled"):
            found[label["search"]] = _labelled(label)
    running = [one for one in found.values() if one["state"] in ("running", "labelled")]
    if ended_too:
        shown = sorted(found.values(), key=lambda one: float(one["started"]))
        return [{**one, "state": one["state"].replace("labelled", "running")} for one in shown]
    ended = [one for one in found.values() if one not in running and now - one["updated"] < SHOWN]
    last = sorted(ended, key=lambda one: float(one["updated"]))[-1:]
    shown = sorted(running, key=lambda one: float(one["started"])) or last
    return [{**one, "state": one["state"].replace("labelled", "running")} for one in shown]


def _state(one: Mapping[str, Any], now: float) -> str:
    if one["running"]:
        return "running" if now - one["updated"] < SILENT else "silent"
    return "finished" if one["total"] and one["done"] >= one["total"] else "stopped"


def _labelled(label: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a label tells of its search, in the form of a file."""
    return {
        "format": FORMAT,
        "id": label["search"],
        "kind": label["kind"],
        "started": label["started"],
        "updated": None,
        "running": True,
        "done": label["done"],
        "total": label["total"],
        "bests": [label["best"]] if label["best"] else [],
        "remarks": [],
        "state": "labelled",
    }
