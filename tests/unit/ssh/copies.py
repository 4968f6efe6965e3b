"""Both ends of a copy in this process, over a pair of sockets."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path

from spotcluster.ssh.copying import wire
from spotcluster.ssh.copying.receiver import Receiver
from spotcluster.ssh.copying.sender import Sender
from spotcluster.ssh.copying.wire import Pipe, RefusedError, Watch


class Counting(Watch):
    """Adds up what it is told."""

    def __init__(self) -> None:
        self.files = self.size = self.done = 0

    def total(self, files: int, size: int) -> None:
        self.files, self.size = files, size

    def moved(self, size: int) -> None:
        self.done += size


@dataclass
class Copy:
    """What became of one copy."""

    sender: Sender
    receiver: Receiver
    turns: tuple[int, int]
    watch: Counting
    errors: list[BaseException] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return sum(self.sender.sent.values())


def pipes(cut_after: int | None = None) -> tuple[Pipe, Pipe, list[socket.socket]]:
    """Return both ends of a stream; the first one's writing may be cut after some bytes."""
    one, other = socket.socketpair()
    for end in (one, other):
        end.settimeout(60)
    left = [cut_after]

    def write(data: bytes) -> None:
        if left[0] is not None:
            if len(data) >= left[0]:
                one.sendall(data[: left[0]])
                one.shutdown(socket.SHUT_RDWR)
                raise EOFError
            left[0] -= len(data)
        one.sendall(data)

    return Pipe(one.recv, write), Pipe(other.recv, other.sendall), [one, other]


def copy(
    sources: list[Path | bytes],
    dest: Path | bytes,
    *,
    follow: bool = False,
    patterns: list[str] | None = None,
    cut_after: int | None = None,
) -> Copy:
    """Copy as `put` and `get` do; errors of either end are collected."""
    near, far, sockets = pipes(cut_after)
    names = [os.fsencode(one) for one in sources]
    watch = Counting()
    done = Copy(
        Sender(near, names, Watch(), follow=follow),
        Receiver(far, os.fsencode(dest), watch, patterns),
        (0, 0),
        watch,
    )

    def give() -> None:
        try:
            done.sender.run()
        except (RefusedError, EOFError, OSError) as error:
            done.errors.append(error)
            sockets[0].close()

    thread = threading.Thread(target=give)
    thread.start()
    try:
        done.receiver.run()
        far.tell(wire.RESULT, [])
        far.flush()
    except (RefusedError, EOFError, OSError) as error:
        done.errors.append(error)
    finally:
        if done.errors:
            sockets[1].close()
        thread.join(60)
        for one in sockets:
            one.close()
    done.turns = (near.turns, far.turns)
    return done


def tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refused(done: Copy) -> str:
    (error,) = [one for one in done.errors if isinstance(one, RefusedError)]
    return error.text
