"""Says what is missing, takes it, and writes nowhere but below its destination.

What the other end says is not believed: a name is one or several plain names, folders are entered
without following links, and a link is made only where it leads to a place in its own tree.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat

from . import digests, parts, stores, wire
from .destination import FULL, Destination, cannot_write
from .folders import Folders, aside, look, make_folder, make_link, prune
from .manifest import Entry, read_manifest
from .wire import Pipe, RefusedError, Watch, from_wire, reason, shown, to_wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_BEGUN_AT_MOST = 16
_BATCH = 500
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Receiver:
    """Takes what a `Sender` has.

    Parameters
    ----------
    pipe : Pipe
        The way to the sender.
    dest : bytes
        Where it belongs, as `cp -r` would take it: a folder that is there, or a path that ends
        with a slash, is a folder that everything goes into; else the one thing that there is gets
        this name.
    patterns : sequence of str, optional
        What the names of the things that were asked for look like; any will do unless given.

    Attributes
    ----------
    failed : list of (str, str)
        What could not be taken, and why.
    """

    def __init__(
        self, pipe: Pipe, dest: bytes, watch: Watch, patterns: Sequence[str] | None = None
    ) -> None:
        self._pipe = pipe
        self._dest = dest
        self._watch = watch
        self._patterns = patterns
        self._begun: dict[int, tuple[int, Any, int]] = {}
        self._resumed = False
        self.entries: list[Entry] = []
        self.failed: list[tuple[str, str]] = []
        self.digests: dict[int, str] = {}
        self.sent: dict[int, int] = {}

    def run(self) -> None:
        """Take everything."""
        self._manifest()
        self._destination = Destination(self._dest, self.entries)
        self._folders = Folders(self._destination.base)
        try:
            self._make_way()
            self._plan()
            self._take()
            self._finish()
        finally:
            for handle, _, _ in self._begun.values():
                os.close(handle)
            self._folders.close()

    def _manifest(self) -> None:
        self.entries = read_manifest(self._pipe, self._patterns)
        for entry in self.entries:
            if entry.kind == "!":
                self.failed.append((entry.name, to_wire(entry.target)))
        sizes = [entry.size for entry in self.entries if entry.kind == "f"]
        self._watch.total(len(sizes), sum(sizes))

    def _make_way(self) -> None:
        """Make the folders and links."""
        if self._destination.renamed:
            self._resumed = look(self._destination.renamed[0], self._folders.base) is not None
        for entry in self.entries:
            if not entry.names or entry.kind not in ("d", "l"):
                continue
            try:
                folder = self._folders.enter(entry.names[:-1])
                if entry.kind == "d":
                    make_folder(entry.names[-1], folder)
                else:
                    make_link(entry.names[-1], entry.target, folder)
            except OSError as error:
                self._fail(entry, error)

    # What is missing.

    def _plan(self) -> None:
        needed = 0
        batch: list[Any] = []
        for index, entry in enumerate(self.entries):
            if entry.kind != "f":
                continue
            try:
                there = self._there(index, entry)
            except OSError as error:
                self._fail(entry, error)
                there = []
            if there != [None, 0, ""]:
                batch.append([index, *there])
            if there and there[0] is None:
                needed += entry.size - there[1]
            if len(batch) >= _BATCH:
                self._pipe.tell(wire.PLAN, batch)
                batch = []
        disk = os.fstatvfs(self._folders.base)
        free = disk.f_bavail * disk.f_frsize
        if disk.f_blocks and needed > free:
            raise RefusedError(
                "full",
                "the disk of "
                + shown(self._dest)
                + " has no room: "
                + _amount(needed)
                + " are needed and "
                + _amount(free)
                + " are free",
            )
        self._pipe.tell(wire.PLAN, batch)
        self._pipe.send(wire.END)
        self._pipe.flush()

    def _there(self, index: int, entry: Entry) -> list[Any]:
        """Return the digest of a file that may be the same, and what there is of one begun."""
        name, folder = entry.names[-1], self._folders.enter(entry.names[:-1])
        found = look(name, folder)
        if found is not None and stat.S_ISDIR(found.st_mode):
            raise OSError(errno.EISDIR, "there is a folder of that name")
        whole = None
        if found is not None and stat.S_ISREG(found.st_mode) and found.st_size == entry.size:
            with contextlib.suppress(PermissionError):  # then it is replaced
                whole = self._whole(entry, os.open(name, _READ, dir_fd=folder))
        part = look(aside(name), folder)
        if entry.target or part is None or not 0 < part.st_size <= entry.size:
            return [whole, 0, ""]
        if len(self._begun) >= _BEGUN_AT_MOST:
            return [whole, 0, ""]
        handle = parts.open_part(name, folder, self._pipe.beat)
        with os.fdopen(os.dup(handle), "rb", buffering=0) as file:
            size = min(os.fstat(handle).st_size, entry.size)
            digest = digests.sha256(file, size, self._pipe.beat)
        self._begun[index] = (handle, digest, size)
        return [whole, size, digest.hexdigest()]

    def _whole(self, entry: Entry, handle: int) -> str:
        with os.fdopen(handle, "rb", buffering=0) as file:
            if entry.target:
                return digests.etag(file, entry.size, entry.target.decode(), self._pipe.beat)
            return str(digests.sha256(file, entry.size, self._pipe.beat).hexdigest())

    # Taking it.

    def _take(self) -> None:
        with stores.Crew(self._pipe) as crew:
            while True:
                kind, payload = self._pipe.expect()
                if kind == wire.END:
                    return
                if kind == wire.JOB:
                    job = wire.parsed(payload)
                    entry = self._entry(job["index"])
                    crew.start(stores.download, self._pipe, entry, self._folder_of(entry), job)
                    continue
                said = wire.parsed(payload)
                if not isinstance(said, list) or not said:
                    raise wire.nonsense()
                entry = self._entry(said[0])
                if kind == wire.SAME:
                    self._keep(said[0], entry)
                elif kind == wire.CHANGED:
                    self._fail(entry, OSError(0, str(said[1])))
                elif kind == wire.FILE:
                    self._file(said[0], entry, said[1])
                else:
                    raise wire.nonsense()

    def _entry(self, index: Any) -> Entry:
        if type(index) is not int or not 0 <= index < len(self.entries):
            raise wire.nonsense()
        entry = self.entries[index]
        if entry.kind != "f":
            raise wire.nonsense()
        return entry

    def _folder_of(self, entry: Entry) -> int:
        try:
            return os.dup(self._folders.enter(entry.names[:-1]))
        except OSError as error:
            raise cannot_write(from_wire(entry.name), error) from None

    def _keep(self, index: int, entry: Entry) -> None:
        """Leave a file that is the same, but for its mode and time."""
        try:
            folder = self._folders.enter(entry.names[:-1])
            handle = os.open(entry.names[-1], _READ, dir_fd=folder)
            try:
                parts.seal(handle, entry)
            finally:
                os.close(handle)
            self._drop(index, entry, folder)
            entry.state = "there"
            self.sent[index] = 0
            self._watch.moved(entry.size)
        except OSError as error:
            self._fail(entry, error)

    def _drop(self, index: int, entry: Entry, folder: int) -> None:
        if index in self._begun:
            os.close(self._begun.pop(index)[0])
            os.unlink(aside(entry.names[-1]), dir_fd=folder)

    def _file(self, index: int, entry: Entry, begun: Any) -> None:
        """Take one file, or what comes of it where it cannot be written."""
        handle = -1
        problem: OSError | None = None
        name, digest, done = entry.names[-1], hashlib.sha256(), 0
        folder = -1
        try:
            folder = self._folders.enter(entry.names[:-1])
            if index in self._begun:
                handle, digest, done = self._begun.pop(index)
            else:
                handle = parts.open_part(name, folder, self._pipe.beat)
            if begun != done:
                digest, done = hashlib.sha256(), 0
                if begun:
                    raise wire.nonsense()
            os.ftruncate(handle, done)
            os.lseek(handle, done, os.SEEK_SET)
        except OSError as error:
            problem = error
        self._watch.moved(done)
        first = done
        try:
            while True:
                kind, payload = self._pipe.expect()
                if kind == wire.DATA:
                    done += len(payload)
                    self._watch.moved(len(payload))
                    if problem is not None:
                        continue
                    if done > entry.size:
                        problem = OSError(0, "more came than was announced")
                        continue
                    digest.update(payload)
                    problem = parts.write(handle, payload)
                elif kind == wire.CHANGED:
                    problem = problem or OSError(0, str(wire.parsed(payload)[1]))
                    break
                elif kind == wire.DIGEST:
                    if problem is None and (done != entry.size or digest.digest() != payload):
                        problem = OSError(0, "it arrived damaged")
                    break
                else:
                    raise wire.nonsense()
            if problem is None:
                try:
                    parts.finish(handle, name, folder, entry)
                    self.digests[index], self.sent[index] = digest.hexdigest(), done - first
                except OSError as error:
                    problem = error
            if problem is not None:
                if handle >= 0:
                    with contextlib.suppress(OSError):
                        os.unlink(aside(name), dir_fd=folder)
                self._fail(entry, problem)
        finally:
            if handle >= 0:
                os.close(handle)

    def _fail(self, entry: Entry, error: OSError) -> None:
        if error.errno in FULL:
            raise RefusedError(
                "full", "there is no room for " + shown(entry.name) + ": " + reason(error)
            ) from None
        alone = self._destination.is_file and error.errno
        if alone or (len(entry.names) < 2 and error.errno in _FORBIDDEN):
            raise cannot_write(self._dest, error) from None  # so nothing can be written there
        if entry.state != "failed":
            entry.state = "failed"
            self.failed.append((entry.name, reason(error)))

    def _finish(self) -> None:
        """Give folders their modes and times, which writing into them has changed."""
        for entry in reversed(self.entries):
            if entry.kind != "d" or not entry.names or entry.state == "failed":
                continue
            try:
                parts.seal(self._folders.enter(entry.names), entry)
            except OSError as error:
                self._fail(entry, error)
        if self._destination.renamed:
            self._rename_whole(*self._destination.renamed)

    def _rename_whole(self, new: bytes, name: bytes) -> None:
        base = self._folders.base
        try:
            if self._resumed:
                top = self.entries[0]
                os.chmod(new, top.mode | 0o700, dir_fd=base)
                prune(new, base, {tuple(entry.names[1:]) for entry in self.entries})
                parts.seal(self._folders.enter([new]), top)
            os.rename(new, name, src_dir_fd=base, dst_dir_fd=base)
        except OSError as error:
            raise cannot_write(self._dest, error) from None


def _amount(size: float) -> str:
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        del units[0]
    return "%.3g %s" % (size, units[0])
