"""Files between a node and S3: the laptop lists and signs, the bytes go there directly."""

from __future__ import annotations

import bisect
import fnmatch
import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from spotcluster import ssh
from spotcluster.aws.buckets.store import Object, Place, Store
from spotcluster.errors import CloudError, UsageError
from spotcluster.ssh import transfer
from spotcluster.ssh.apart import apart
from spotcluster.ssh.copying import wire
from spotcluster.ssh.copying.digests import is_etag
from spotcluster.ssh.copying.folders import ASIDE
from spotcluster.ssh.copying.manifest import Entry, read_manifest
from spotcluster.ssh.copying.wire import Pipe, Watch, to_wire
from spotcluster.ssh.transfer import Moved, Report

_AHEAD = 64
"""Jobs that a node has at a time: more would be addresses that grow old."""
PART = 16 * 1024 * 1024
_PARTS = 9000  # S3's limit is 10,000
_BATCH = 500
_NOT_A_PATH = "its key is not the path of a file"
_A_LINK = "a link, which S3 does not have; -L copies what it leads to"


@apart
def put(
    connection: ssh.Connection,
    store: Store,
    places: Sequence[Place],
    dest: str,
    *,
    progress: Watch,
    user: str | None,
) -> Report:
    """Copy objects to a machine; what is there and right is not fetched again."""
    listed = [one for place in places for one in _found(store, place)]
    names = [one.name.split("/")[0] for one in listed if one.top]
    if len(names) != len(set(names)):
        raise UsageError("Two of the sources would have the same name there.")
    files = {index: one for index, one in enumerate(listed) if one.kind == "f"}
    progress.total(len(files), sum(one.object.size for one in files.values() if one.object))
    sent: dict[int, int] = {}
    failed: list[tuple[str, str]] = []
    with transfer.opened(connection, {"what": "take", "dest": dest}, user) as pipe:
        for begin in range(0, len(listed), _BATCH):
            pipe.tell(wire.MANIFEST, [one.on_wire() for one in listed[begin : begin + _BATCH]])
        pipe.send(wire.END)
        there, skip = _plan(pipe)

        def jobs() -> Iterator[dict[str, Any]]:
            for index, one in files.items():
                if one.object is None or index in skip:
                    continue
                if one.spec and there.get(index) == one.object.etag:
                    sent[index] = 0
                    progress.moved(one.object.size)
                    pipe.tell(wire.SAME, [index])
                    continue
                url = store.address(one.object.key)
                yield {"index": index, "url": url, "etag": one.spec}

        def done(said: dict[str, Any]) -> None:
            one = files[said["index"]]
            if "error" in said:
                failed.append((one.name, str(said["error"])))
            elif one.object:
                sent[said["index"]] = one.object.size

        _conduct(pipe, partial(next, jobs(), None), done, progress)
        pipe.send(wire.END)
        _, payload = pipe.expect()
        failed += [(str(name), str(why)) for name, why in wire.parsed(payload)]
    bad = {name for name, _ in failed}
    return Report(
        tuple(
            Moved(one.name, one.object.size, sent.get(index, 0), f"etag:{one.object.etag}")
            for index, one in files.items()
            if one.object and one.name not in bad
        ),
        tuple((one.name, _NOT_A_PATH) for one in listed if one.kind == "-"),
        tuple(failed),
    )


@dataclass(frozen=True)
class _Listed:
    """One thing that a bucket has, as a manifest has it."""

    name: str
    kind: str
    object: Object | None = None
    spec: str = ""
    top: bool = False

    def on_wire(self) -> list[Any]:
        """Return it as a manifest has it."""
        time = int((self.object.modified if self.object else 0) * 1e9)
        size = self.object.size if self.object and self.kind == "f" else 0
        return [self.name, self.kind, 0o755 if self.kind == "d" else 0o644, time, size, self.spec]


def _found(store: Store, place: Place) -> Iterator[_Listed]:
    """Yield what a place in a bucket has, or where there is none, all that match it as a pattern.

    As in a shell, ``*`` stands for no ``/``, and for nothing that begins with a dot.
    """
    pattern = place.key.rstrip("/")
    magic = re.search(r"[*?\[]", pattern)
    literal = next(store.objects(pattern), None) if magic else None
    if magic is None or (literal and f"{literal.key}/".startswith(f"{pattern}/")):
        yield from _listed(store, place, store.objects)
        return
    parts = pattern.split("/")
    tops: dict[str, None] = {}
    listed: list[Object] = []
    for one in store.objects(pattern[: magic.start()]):
        own = one.key.split("/")
        folder = len(own) > len(parts)
        if len(own) < len(parts) or (place.key.endswith("/") and not folder):
            continue
        if all(map(_matches, own, parts)):
            tops["/".join(own[: len(parts)])] = None
            listed.append(one)
    if not tops:
        raise UsageError(f"Nothing matches {place}.", "`aws s3 ls` shows what a bucket has.")
    keys = [one.key for one in listed]  # in order, as S3 lists them

    def among(prefix: str) -> Iterator[Object]:
        for index in range(bisect.bisect_left(keys, prefix), len(listed)):
            if not keys[index].startswith(prefix):
                return
            yield listed[index]

    for top in tops:
        yield from _listed(store, Place(place.bucket, top), among)


def _matches(name: str, pattern: str) -> bool:
    hidden = name.startswith(".") and not pattern.startswith(".")
    return fnmatch.fnmatchcase(name, pattern) and not hidden


def _listed(
    store: Store, place: Place, objects: Callable[[str], Iterator[Object]]
) -> Iterator[_Listed]:
    """Yield what a place in a bucket has: the object of that name, or a folder of objects."""
    key = place.key.rstrip("/")
    name = key.rpartition("/")[2]
    if key and key == place.key:
        exact = next(objects(key), None)
        if exact and exact.key == key:
            yield _Listed(name, "f", exact, _spec(store, exact), top=True)
            return
    folders: set[str] = set()
    root = name or "."
    for one in objects(f"{key}/" if key else ""):
        if not folders:
            folders.add("")
            yield _Listed(root, "d", one, top=True)
        path = one.key[len(key) + 1 :] if key else one.key
        parts = path.removesuffix("/").split("/")
        if path and not all(_is_name(part) for part in parts):
            yield _Listed(f"{root}/{path}", "-", one)
            continue
        above = parts if path.endswith("/") else parts[:-1]
        for depth in range(1, len(above) + 1):
            folder = "/".join(above[:depth])
            if folder and folder not in folders:
                folders.add(folder)
                yield _Listed(f"{root}/{folder}", "d", one)
        if path and not path.endswith("/"):
            yield _Listed(f"{root}/{path}", "f", one, _spec(store, one))
    if not folders:
        raise UsageError(f"There is no {place}.", "`aws s3 ls` shows what a bucket has.")


def _is_name(part: str) -> bool:
    aside = part.encode("utf-8", "surrogateescape").endswith(ASIDE)
    return part not in ("", ".", "..") and "\0" not in part and not aside


def _spec(store: Store, one: Object) -> str:
    """Return the ETag as a machine can check it, empty if it cannot."""
    parts = "-" in one.etag and one.size
    spec = f"{one.etag}:{store.part_size(one.key)}" if parts else one.etag
    return spec if is_etag(spec) else ""


@apart
def get(
    connection: ssh.Connection,
    sources: Sequence[str],
    store: Store,
    place: Place,
    *,
    progress: Watch,
    user: str | None,
    follow: bool,
) -> Report:
    """Copy files of a machine to a bucket; what is there and right is not sent again."""
    asked = {"what": "upload", "sources": list(sources), "follow": follow}
    with transfer.opened(connection, asked, user) as pipe:
        upload = _Upload(store, read_manifest(pipe, transfer.patterns(sources)), place)
        progress.total(len(upload.files), sum(one.size for one in upload.files.values()))
        _conduct(pipe, upload.next, upload.done, progress)
        pipe.send(wire.END)
        pipe.flush()
    return upload.report()


@dataclass
class _File:
    """A file on its way to a bucket."""

    name: str
    key: str
    size: int
    upload: str = ""
    known: dict[int, tuple[int, str]] = field(default_factory=dict)
    etags: dict[int, tuple[str, str]] = field(default_factory=dict)
    sent: int = 0
    etag: str = ""
    error: str = ""

    @property
    def part(self) -> int:
        """Bytes of each of its parts but the last."""
        return max(PART, -(-self.size // _PARTS // PART) * PART) if self.size > PART else self.size

    @property
    def parts(self) -> int:
        """How many parts it has."""
        return -(-self.size // self.part) if self.size else 1

    def length(self, part: int) -> int:
        """Return the bytes of a part, counted from 1."""
        return min(self.part, self.size - (part - 1) * self.part)


class _Upload:
    """What has to go to a bucket, as jobs for a machine, and what came of them."""

    def __init__(self, store: Store, entries: Sequence[Entry], place: Place) -> None:
        self._store = store
        self.files: dict[int, _File] = {}
        self._left_out: list[tuple[str, str]] = []
        self._failed: list[tuple[str, str]] = []
        prefix = place.key.rstrip("/")
        into = place.key.endswith("/") or not prefix or len({one.names[0] for one in entries}) > 1
        for index, one in enumerate(entries):
            if one.kind == "f":
                path = one.name.removeprefix("./") if into else one.name.partition("/")[2]
                key = "/".join(part for part in (prefix, path) if part)
                self.files[index] = _File(one.name, key, one.size)
            elif one.kind == "!":
                self._failed.append((one.name, to_wire(one.target)))
            elif one.kind in "-l":
                why = _A_LINK if one.kind == "l" else to_wire(one.target)
                self._left_out.append((one.name, why))
        self._unseen = iter(list(self.files))
        self._waiting: deque[int] = deque()
        self._sent_now: Iterator[dict[str, Any]] = iter(())
        common = prefix + "/" if prefix and into else prefix
        self._there = {one.key: one for one in store.objects(common)}
        self._unfinished = store.unfinished(common)

    def next(self) -> dict[str, Any] | None:
        """Return the next job: to compare where an object may be the same, to send elsewhere."""
        while True:
            if job := next(self._sent_now, None):
                return job
            if self._waiting:
                self._sent_now = self._sending(self._waiting.popleft())
                continue
            if (index := next(self._unseen, None)) is None:
                return None
            there = self._there.get(self.files[index].key)
            same_size = there and there.size == self.files[index].size
            if there and same_size and (spec := _spec(self._store, there)):
                return {"index": index, "compare": spec}
            self._waiting.append(index)

    def _sending(self, index: int) -> Iterator[dict[str, Any]]:
        file = self.files[index]
        if file.size > PART:
            if upload := self._unfinished.get(file.key):
                file.upload, file.known = upload, self._store.parts(file.key, upload)
            else:
                file.upload = self._store.begin(file.key)
        for part in range(1, file.parts + 1):
            length = file.length(part)
            size, etag = file.known.get(part, (0, ""))
            yield {
                "index": index,
                "part": part,
                "url": self._store.address(
                    file.key, upload=file.upload, part=part if file.upload else 0, write=True
                ),
                "start": (part - 1) * file.part,
                "length": length,
                "known": etag if size == length else "",
            }

    def done(self, said: dict[str, Any]) -> None:
        """Take the result of a job."""
        file = self.files[said["index"]]
        if "error" in said:
            if not file.error and file.upload:
                self._store.abandon(file.key, file.upload)
            file.error = file.error or str(said["error"])
        elif not said["part"]:
            there = self._there[file.key]
            if said["etag"] == there.etag:
                file.etag = there.etag
            else:
                self._waiting.append(said["index"])
        elif not file.error:
            file.etags[said["part"]] = (said["etag"], said["md5"])
            file.sent += 0 if said.get("there") else file.length(said["part"])
            if len(file.etags) == file.parts:
                self._finish(file)

    def _finish(self, file: _File) -> None:
        parts = [file.etags[number] for number in sorted(file.etags)]
        if not file.upload:
            file.etag = parts[0][0]
            return
        file.etag = self._store.finish(file.key, file.upload, [etag for etag, _ in parts])
        digests = b"".join(bytes.fromhex(md5) for _, md5 in parts)
        wanted = f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"  # noqa: S324 - S3's own
        if all(etag == md5 for etag, md5 in parts) and file.etag != wanted:
            raise CloudError(f"What S3 has made of {file.key} is not what was sent.")

    def report(self) -> Report:
        """Return what came of it."""
        bad = [(one.name, one.error) for one in self.files.values() if one.error]
        return Report(
            tuple(
                Moved(one.name, one.size, one.sent, f"etag:{one.etag}")
                for one in self.files.values()
                if not one.error
            ),
            tuple(self._left_out),
            tuple(self._failed + bad),
        )


def _plan(pipe: Pipe) -> tuple[dict[int, str], set[int]]:
    """Return the digests of what a machine has, and what it cannot take."""
    there: dict[int, str] = {}
    skip: set[int] = set()
    while True:
        kind, payload = pipe.expect()
        if kind == wire.END:
            return there, skip
        for index, *found in wire.parsed(payload):
            if found:
                there[index] = found[0]
            else:
                skip.add(index)


def _conduct(
    pipe: Pipe,
    take: Callable[[], dict[str, Any] | None],
    done: Callable[[dict[str, Any]], None],
    progress: Watch,
) -> None:
    """Keep a machine busy until there are no jobs and no results to wait for."""
    running = 0
    while True:
        while running < _AHEAD and (job := take()) is not None:
            pipe.tell(wire.JOB, job)
            running += 1
        if not running:
            return
        kind, payload = pipe.receive()
        if kind == wire.BEATS:
            progress.moved(int(wire.parsed(payload)))
        elif kind == wire.RESULT:
            running -= 1
            try:
                done(wire.parsed(payload))
            except (LookupError, TypeError, ValueError) as error:
                raise wire.nonsense() from error
