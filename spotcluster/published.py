"""What running searches say of themselves to whoever asks: the form of it, and how it is read.

A search runs in one process, on a laptop or on the master, and whoever asks how the cluster does is
another one, perhaps on another computer. So a search says how far it is in two places:

- in a JSON file in the folder of its user, named after the search's id, for those on the same
  computer;
- in the label of each message that it sends to the engines, which the controller keeps with the
  message: what the message is, how far the search is, and its best candidate. Any client of the
  controller can ask for it.

This belongs to no room: who shows it must not wait for what a search has to import.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spotcluster import files

FORMAT = 1
SILENT = 30.0  # seconds without a word after which a search that says it runs does not
SHOWN = 3600.0  # seconds that a search which has ended is shown


def controller_of(session_key: bytes) -> str:
    """Return the name by which a search tells which controller it works with, and not its key."""
    return hashlib.sha256(b"spotcluster controller " + session_key).hexdigest()[:16]


def folder() -> Path:
    """Return where the searches of this computer's user say how far they are."""
    return files.private_dir("searches")


def read() -> list[dict[str, Any]]:
    """Return what the searches of this computer have said last, the latest first."""
    texts = []
    for path in folder().glob("*.progress"):
        with contextlib.suppress(OSError):
            texts.append(path.read_text(encoding="utf-8"))
    return parse("".join(texts))


def parse(text: str) -> list[dict[str, Any]]:
    """Return what searches have said, one JSON document a line, the latest first.

    Lines that are something else, of another version perhaps, are passed over.
    """
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            if isinstance(said, dict) and said.get("format") == FORMAT:
                found.append(said)
    return sorted(found, key=lambda said: -float(said["updated"]))


def merged(
    documents: Sequence[Mapping[str, Any]],
    labels: Sequence[Mapping[str, Any]],
    controller: str,
    now: float,
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
