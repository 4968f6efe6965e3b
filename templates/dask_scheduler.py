"""What dask's scheduler on a master preloads: a door to its dashboard, and what it writes down.

- dask's dashboard knows no users: whoever is on the master would see code, data and logs there. So
  a browser brings the token once, in the address, and has a cookie from then on.
- Where it listens and in which versions, for those who want to connect; `scheduler.json`.
- How many tasks are not done, as autostop_work.py reads it and looks how old that is; `tasks`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from distributed.http.utils import RequestHandler

BEAT = 10.0  # seconds between two times that it says how much is not done
OWN = Path.home() / ".spotcluster" / "dask"
TASKS = OWN / "tasks"
beats: list[asyncio.Task[None]] = []


class Door(RequestHandler):
    """What those get who have not shown the token yet: a cookie for it, or nothing."""

    def prepare(self) -> None:
        """Answer, whatever the request is."""
        token = self.extra["token"]
        if same(self.get_query_argument("token", ""), token):
            self.set_cookie(self.extra["cookie"], token, httponly=True, samesite="Lax")
            self.redirect(self.request.path or "/")
        else:
            self.send_error(403)

    def write_error(self, status_code: int, **_: Any) -> None:
        """Say what is missing, instead of tornado's page."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: add ?token=... to the address; {OWN / 'token'} has it.\n")


def same(given: str, token: str) -> bool:
    """Return whether a token is the right one, in a time that tells nothing of it."""
    return hmac.compare_digest(given.encode(), token.encode())


def lock(application: Any, token: str) -> None:
    """Let nobody see an application of tornado's who has not brought the token."""
    # Browsers send cookies to all ports of an address alike, and several clusters' may be open.
    cookie = f"spotcluster-dask-{hashlib.sha256(token.encode()).hexdigest()[:8]}"
    find = application.find_handler

    def guarded(request: Any, **kwargs: Any) -> Any:
        given = request.cookies.get(cookie)
        if given is not None and same(given.value, token):
            return find(request, **kwargs)
        extra = {"token": token, "cookie": cookie}
        return application.get_handler_delegate(request, Door, {"extra": extra})

    application.find_handler = guarded


def write(path: Path, text: str) -> None:
    """Write a file aside and rename it; there is only ever an old one or a new one."""
    aside = path.with_name(f"{path.name}.new")
    aside.write_text(text)
    aside.replace(path)


def unfinished(scheduler: Any) -> int:
    """Return how many tasks there are that can be or are being done; others wait for these."""
    running = sum(len(worker.processing) for worker in scheduler.workers.values())
    return running + len(scheduler.queued) + len(scheduler.unrunnable)


async def beat(scheduler: Any) -> None:
    """Write again and again how many tasks are not done."""
    while True:
        with contextlib.suppress(OSError):  # a full disk
            write(TASKS, f"{unfinished(scheduler)}\n")
        await asyncio.sleep(BEAT)


async def dask_setup(scheduler: Any) -> None:
    """Begin, as the scheduler begins: it listens already."""
    lock(scheduler.http_application, (OWN / "token").read_text().strip())
    packages = {name: version(name) for name in ("dask", "distributed")}
    info = {
        "address": scheduler.address,
        "dashboard": scheduler.http_server.port,
        "pid": os.getpid(),
        "versions": {"Python": "{}.{}".format(*sys.version_info), **packages},
    }
    beats.append(asyncio.create_task(beat(scheduler)))
    write(OWN / "scheduler.json", json.dumps(info))


async def dask_teardown(scheduler: Any) -> None:  # noqa: ARG001 - dask's signature
    """End, as the scheduler ends: nothing is left to be done."""
    for task in beats:
        task.cancel()
    TASKS.unlink(missing_ok=True)
