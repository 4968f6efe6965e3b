"""The searches that run on a cluster, as all who know of them tell."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from spotcluster import files, published
from spotcluster.cluster.status.observer import Status


def of(seen: Status, *, ended_too: bool = False) -> list[dict[str, Any]]:
    """Return the searches on a cluster, as files here and there and the controller tell.

    Those that run, or else the one that ended last; with `ended_too` all that are known.
    """
    answer = seen.controller
    key = answer.key if answer else _known_key(seen)
    local = [{**one, "here": True} for one in published.read()]
    there = published.parse(seen.searches_on_master)
    shift = seen.clock_ahead
    there = [{**one, "updated": one["updated"] - shift, "on_master": True} for one in there]
    labels = answer.labels if answer else ()
    controller, now = published.controller_of(key), time.time()
    return published.merged([*there, *local], labels, controller, now, ended_too=ended_too)


def _known_key(seen: Status) -> bytes:
    """Return the key of a controller that does not answer, if this computer knows it."""
    with contextlib.suppress(OSError, ValueError, KeyError, AttributeError):
        path = files.connection_file(seen.region, seen.name)
        return published.key_of(json.loads(path.read_text()))
    return b""
