"""Files that go between a node and a store by addresses that the laptop has signed.

The node needs no credentials: each address is for one file, one direction and some hours.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import queue
import threading
import time
import urllib.error
import urllib.request

from . import parts, wire
from .digests import etag, pieces
from .folders import aside
from .wire import CHUNK, Pipe, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from .manifest import Entry

_WORKERS = 8
_TRIES = 4
_TIMEOUT = 60


class Crew:
    """Threads that do jobs and tell their results; started with the first job."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._jobs: queue.Queue[Any] = queue.Queue()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:  # else the program ends, and its threads with it
            for _thread in self._threads:
                self._jobs.put(None)
            for thread in self._threads:
                thread.join()

    def start(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Do a job when a thread is free."""
        if len(self._threads) < _WORKERS:
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()
        self._jobs.put((work, arguments))

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            work, arguments = job
            try:
                result = work(*arguments)
            except Exception as error:  # noqa: BLE001 - the laptop waits for a result of each job
                text = reason(error) if isinstance(error, OSError) else repr(error)
                result = {"error": text}
            result.update(index=arguments[-1]["index"], part=arguments[-1].get("part", 0))
            self._pipe.tell(wire.RESULT, result)
            self._pipe.flush()


def download(pipe: Pipe, entry: Entry, folder: int, job: dict[str, Any]) -> dict[str, Any]:
    """Bring a file from an address; what there is of it is gone on with, if it proves right."""
    name = entry.names[-1]
    try:
        handle = parts.open_part(name, folder, pipe.beat)
        try:
            with os.fdopen(os.dup(handle), "r+b", buffering=0) as file:
                begun = min(os.fstat(handle).st_size, entry.size) if job["etag"] else 0
                checked = _fetch(pipe, file, begun, entry, job)
                if begun and not checked:
                    pipe.beat(-begun)
                    checked = _fetch(pipe, file, 0, entry, job)
                if not checked:
                    os.unlink(aside(name), dir_fd=folder)
                    raise OSError("it arrived damaged")
            parts.finish(handle, name, folder, entry)
        finally:
            os.close(handle)
    finally:
        os.close(folder)
    return {}


def _fetch(pipe: Pipe, file: Any, at: int, entry: Entry, job: dict[str, Any]) -> bool:
    """Write what an address has from `at` on; return whether the whole is what it should be."""
    file.truncate(at)
    file.seek(at)
    pipe.beat(at)
    opaque = not job["etag"]
    tries = 0
    while at < entry.size:
        request = urllib.request.Request(job["url"], headers={"Range": "bytes=%d-" % at})
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
                if at and answer.status != 206:  # it begins at the beginning
                    at = 0
                    file.seek(0)
                opaque = opaque or _is_opaque(answer.headers)
                while at < entry.size:
                    data = answer.read(min(CHUNK, entry.size - at))
                    if not data:
                        break
                    file.write(data)
                    at += len(data)
                    tries = 0
                    pipe.beat(len(data))
        except (OSError, http.client.HTTPException) as error:
            _again(error, tries)
        tries += 1
        if tries >= _TRIES:
            raise OSError("the store sends no more of it")
    file.seek(0)
    return opaque or etag(file, entry.size, job["etag"], pipe.beat) == job["etag"].partition(":")[0]


def upload(pipe: Pipe, path: bytes, size: int, mtime: int, job: dict[str, Any]) -> dict[str, Any]:
    """Bring a part of a file to an address, or say what the file's digest is."""
    with open(path, "rb", buffering=0) as file:
        if "compare" in job:
            return {"etag": etag(file, size, job["compare"], pipe.beat)}
        digest = hashlib.md5()
        file.seek(job["start"])
        for data in pieces(file, job["length"]):
            digest.update(data)
            pipe.beat()
        if digest.hexdigest() == job.get("known"):
            pipe.beat(job["length"])
            return {"etag": digest.hexdigest(), "md5": digest.hexdigest(), "there": True}
        tries = 0
        while True:
            try:
                said = _send(pipe, file, digest.digest(), job)
                break
            except (OSError, http.client.HTTPException) as error:
                _again(error, tries)
                tries += 1
        now = os.fstat(file.fileno())
        if now.st_size < size or (now.st_size == size and now.st_mtime_ns != mtime):
            raise OSError("it was changed while it was read")
    given = (said.get("ETag") or "").strip('"')
    if not _is_opaque(said) and given != digest.hexdigest():
        raise OSError("it arrived damaged")
    return {"etag": given, "md5": digest.hexdigest()}


def _send(pipe: Pipe, file: Any, digest: bytes, job: dict[str, Any]) -> Any:
    body = _Slice(pipe, file, job["start"], job["length"])
    headers = {
        "Content-Length": str(job["length"]),
        "Content-MD5": base64.b64encode(digest).decode(),
        "Content-Type": "application/octet-stream",
    }
    request = urllib.request.Request(job["url"], data=body, headers=headers, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            answer.read()
            return answer.headers
    except BaseException:
        pipe.beat(-body.done)
        raise


class _Slice:
    """A part of a file, to be read."""

    def __init__(self, pipe: Pipe, file: Any, start: int, length: int) -> None:
        self._pipe, self._file, self._left, self.done = pipe, file, length, 0
        file.seek(start)

    def read(self, size: int = -1) -> bytes:
        """Return what comes next of it."""
        wanted = self._left if size < 0 else min(max(size, CHUNK), self._left)
        data: bytes = self._file.read(wanted) if wanted else b""
        self._left -= len(data)
        self.done += len(data)
        if data:
            self._pipe.beat(len(data))
        return data


def _again(error: Exception, tries: int) -> None:
    """Pause before another try, or raise where there is no use in one."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        said = "the store refused it: " + str(error.code) + " " + str(error.reason)
        if error.code < 500 and error.code not in (408, 429):
            raise OSError(said) from None
        error = OSError(said)
    elif isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        error = OSError("the store cannot be reached: " + reason(error.reason))
    elif isinstance(error, OSError) and error.errno is not None and error.filename is None:
        from errno import EDQUOT, EFBIG, EIO, ENOSPC

        if error.errno in (EDQUOT, EFBIG, EIO, ENOSPC):
            raise error
    if tries + 1 >= _TRIES:
        raise error
    time.sleep(0.5 * 2**tries)


def _is_opaque(headers: Any) -> bool:
    """Return whether an object's ETag is no digest of it: S3 encrypts it with a key of KMS's."""
    kind = headers.get("x-amz-server-side-encryption") or ""
    return (
        kind.startswith("aws:kms") or "x-amz-server-side-encryption-customer-algorithm" in headers
    )
