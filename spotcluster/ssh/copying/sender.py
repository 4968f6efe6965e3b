"""Finds what there is to copy, and gives what the other end lacks."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import stat

from . import digests, stores, wire
from .folders import ASIDE
from .wire import Pipe, RefusedError, Watch, reason, shown, to_wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

_BATCH = 500


class Item:
    """One thing that was found: a file (f), folder (d), link (l), or what is not copied.

    ``-`` marks what is left out, by rule; ``!`` what could not be read. `target` is where a link
    leads, or why it is not copied.
    """

    __slots__ = ("kind", "mode", "mtime", "name", "path", "size", "target")

    def __init__(self, path: bytes, name: bytes, kind: str, target: bytes = b"") -> None:
        self.path = path
        self.name = name
        self.kind = kind
        self.target = target
        self.mode = self.mtime = self.size = 0

    def on_wire(self) -> list[Any]:
        """Return it as the manifest has it."""
        name, target = to_wire(self.name), to_wire(self.target)
        return [name, self.kind, self.mode, self.mtime, self.size, target]


class Sender:
    """Sends `sources`.

    Parameters
    ----------
    pipe : Pipe
        The way to a `Receiver`.
    sources : sequence of bytes
        Paths, or patterns where no such path exists.
    follow : bool
        Whether what links lead to is copied in their place.
    """

    def __init__(
        self, pipe: Pipe, sources: Sequence[bytes], watch: Watch, *, follow: bool = False
    ) -> None:
        self._pipe = pipe
        self._sources = sources
        self._follow = follow
        self._watch = watch
        self.items: list[Item] = []
        self.digests: dict[int, str] = {}
        self.sent: dict[int, int] = {}

    def run(self) -> list[Any]:
        """Send everything; return what the receiver says of it."""
        self.announce()
        plan = self._plan()
        for index, item in enumerate(self.items):
            if item.kind == "f" and index not in plan["skip"]:
                self._give(index, item, plan["have"].get(index))
        self._pipe.send(wire.END)
        kind, payload = self._pipe.expect()
        if kind != wire.RESULT:
            raise wire.nonsense()
        return list(wire.parsed(payload))

    def announce(self) -> None:
        """Find what there is, and send the list of it."""
        self.items = list(self._find())
        files = [item.size for item in self.items if item.kind == "f"]
        self._watch.total(len(files), sum(files))
        for begin in range(0, len(self.items), _BATCH):
            batch = [item.on_wire() for item in self.items[begin : begin + _BATCH]]
            self._pipe.tell(wire.MANIFEST, batch)
        self._pipe.send(wire.END)

    def serve(self) -> None:
        """Bring files to the addresses that the other end names, until it has no more."""
        with stores.Crew(self._pipe) as crew:
            while True:
                kind, payload = self._pipe.expect()
                if kind == wire.END:
                    return
                job = wire.parsed(payload)
                item = self.items[job["index"]]
                crew.start(stores.upload, self._pipe, item.path, item.size, item.mtime, job)

    # What there is.

    def _find(self) -> Iterator[Item]:
        names: dict[bytes, bytes] = {}
        for source in self._sources:
            for path in _expand(source):
                name = root_name(path)
                if name in names:
                    both = shown(names[name]) + " and " + shown(path)
                    raise RefusedError("names", both + " would have the same name there")
                names[name] = path
                if name.endswith(ASIDE):
                    raise RefusedError("aside", shown(path) + " is called as what is not whole yet")
                for item in self._walk(path, name):
                    self._pipe.beat()
                    yield item

    def _walk(self, root: bytes, name: bytes) -> Iterator[Item]:
        found = _stat(root)
        if not stat.S_ISDIR(found.st_mode):
            item = _item(root, name, found)
            if item.kind != "f":
                raise RefusedError("missing", shown(root) + " is neither a file nor a folder")
            yield item
            return
        # Of folders that links led to, those above: a link back to one of them has no end.
        todo = [(root, name, 1, frozenset([(found.st_dev, found.st_ino)]))]
        yield _item(root, name, found)
        while todo:
            folder, named, depth, above = todo.pop()
            try:
                with os.scandir(folder) as entries:
                    inside = sorted(entries, key=lambda one: one.name)
            except OSError as error:
                if depth == 1:
                    raise RefusedError("denied", _cannot_read(folder, error)) from None
                yield Item(folder, named, "!", reason(error).encode())
                continue
            folders = []
            for entry in inside:
                item = self._look(entry, named)
                if item.kind == "d":
                    known = above
                    if self._follow:
                        status = entry.stat()
                        mark = (status.st_dev, status.st_ino)
                        if mark in above:
                            item = Item(item.path, item.name, "-", b"leads back to where it is")
                        known = above | {mark}
                    if item.kind == "d":
                        folders.append((item, known))
                        continue
                yield item
            # A folder's files come before its folders, so that folders are entered once.
            for item, known in reversed(folders):
                todo.append((item.path, item.name, depth + 1, known))
            for item, _ in folders:
                yield item

    def _look(self, entry: os.DirEntry[bytes], above: bytes) -> Item:
        path, name = entry.path, above + b"/" + entry.name
        try:
            if entry.name.endswith(ASIDE):
                return Item(path, name, "-", b"not whole yet: another copy is writing it")
            if entry.is_symlink() and not self._follow:
                target = os.readlink(path)
                if not wire.stays_inside(name.split(b"/")[1:], target):
                    return Item(path, name, "-", b"a link that leads out of what is copied")
                return Item(path, name, "l", target)
            return _item(path, name, entry.stat())
        except OSError as error:
            return Item(path, name, "!", reason(error).encode())

    # What is lacking.

    def _plan(self) -> dict[str, Any]:
        have: dict[int, list[Any]] = {}
        skip: set[int] = set()
        while True:
            kind, payload = self._pipe.expect()
            if kind == wire.END:
                return {"have": have, "skip": skip}
            for index, *there in wire.parsed(payload):
                if there:
                    have[index] = there
                else:
                    skip.add(index)

    def _give(self, index: int, item: Item, there: list[Any] | None) -> None:
        whole, begun, digest = there or (None, 0, None)
        try:
            handle = os.open(item.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            self._pipe.tell(wire.CHANGED, [index, reason(error)])
            return
        with os.fdopen(handle, "rb", buffering=0) as file:
            try:
                before = os.fstat(handle)
                if whole is not None and self._digest(file, item.size).hexdigest() == whole:
                    self.digests[index] = whole
                    self.sent[index] = 0
                    self._watch.moved(item.size)
                    self._pipe.tell(wire.SAME, [index])
                    return
                file.seek(0)
                so_far = self._digest(file, begun)
                if begun and so_far.hexdigest() != digest:
                    begun, so_far = 0, hashlib.sha256()
                    file.seek(0)
                self._watch.moved(begun)
                self._pipe.tell(wire.FILE, [index, begun])
                done = self._stream(file, item.size - begun, so_far)
                after = os.fstat(handle)
            except OSError as error:
                self._pipe.tell(wire.CHANGED, [index, reason(error)])
                return
        # What grows, such as a log, is copied as it was when it was found.
        same_size = after.st_size == before.st_size == item.size
        if done != item.size - begun or (same_size and after.st_mtime_ns != before.st_mtime_ns):
            self._pipe.tell(wire.CHANGED, [index, "it was changed while it was read"])
            return
        self.digests[index] = so_far.hexdigest()
        self.sent[index] = done
        self._pipe.send(wire.DIGEST, so_far.digest())

    def _digest(self, file: Any, size: int) -> Any:
        return digests.sha256(file, size, self._pipe.beat)

    def _stream(self, file: Any, size: int, digest: Any) -> int:
        done = 0
        for data in digests.pieces(file, size):
            digest.update(data)
            self._pipe.send(wire.DATA, data)
            done += len(data)
            self._watch.moved(len(data))
        return done


def root_name(path: bytes) -> bytes:
    """Return the name that a source has at its new place; ``.`` for one that has none."""
    name = path.rstrip(b"/").rpartition(b"/")[2]
    return b"." if name in (b"", b".", b"..") else name


def _expand(source: bytes) -> list[bytes]:
    if b"\0" in source or os.path.lexists(source):
        return [source]
    magic = any(one in source for one in b"*?[")
    found = sorted(glob.glob(source)) if magic else []
    if not found:
        _stat(source)
        raise RefusedError("missing", "there is no " + shown(source))
    return found


def _stat(path: bytes) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise RefusedError("missing", "there is no " + shown(path)) from None
        raise RefusedError("denied", _cannot_read(path, error)) from None
    except ValueError:  # a NUL byte
        raise RefusedError("missing", "there is no " + shown(path)) from None


def _cannot_read(path: bytes, error: OSError) -> str:
    return shown(path) + " cannot be read: " + reason(error)


def item_at(path: bytes, name: bytes) -> Item:
    """Return what is at a path; a link as the link that it is."""
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            return Item(path, name, "l", os.readlink(path))
        return _item(path, name, found)
    except OSError as error:
        return Item(path, name, "!", reason(error).encode())


def _item(path: bytes, name: bytes, found: os.stat_result) -> Item:
    if stat.S_ISDIR(found.st_mode):
        item = Item(path, name, "d")
    elif stat.S_ISREG(found.st_mode):
        item = Item(path, name, "f")
        item.size = found.st_size
    else:
        return Item(path, name, "-", b"neither a file nor a folder")
    item.mode, item.mtime = stat.S_IMODE(found.st_mode) & 0o777, found.st_mtime_ns
    return item
