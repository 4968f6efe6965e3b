"""Hosts forked of one process that has imported what they need.

To import asyncssh is most of what a host takes of a processor until it can be logged into. So the
daemon keeps a process that has done it, ``python -m
spotcluster.local.host.forker SOCKET``, and asks it for hosts. Each is a process as if started by
itself: the daemon's child, in a session of its own, with its own folder and console; and what
others are shown of its command line and environment has its own name. Where that process is gone,
who asks starts hosts one by one, as elsewhere than on Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from .layout import MARK

_LARGEST = 1 << 16  # bytes of a request
_READY = b"ready"
# In the command line and the environment that hosts are forked with; each writes its own over it.
_NO_HOST = "i-00000000000000000"


class Forked:
    """A host that was forked: a child of this process, as `subprocess.Popen` has them."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its status if it has ended."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else was told
                self.returncode = -1
            else:
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


class Forker:
    """The process that hosts are forked of, started at once; this one must be a subreaper.

    Parameters
    ----------
    folder : Path
        Where the folders of the hosts are.
    """

    def __init__(self, folder: Path) -> None:
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", __name__, str(theirs.fileno())),
                    str(folder / _NO_HOST),
                ],
                stdin=subprocess.DEVNULL,
                env={**os.environ, MARK: _NO_HOST},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._is_ready = False
        self._waiting = threading.Lock()

    def is_ready(self, limit: float) -> bool:
        """Wait until it can fork; False where it is gone, or cannot within so many seconds."""
        with self._waiting:
            if not self._is_ready:
                self._asking.settimeout(limit)
                with contextlib.suppress(OSError):
                    self._is_ready = self._asking.recv(_LARGEST) == _READY
            return self._is_ready

    def fork(self, instance_id: str, console: IO[bytes], ready: int) -> Forked | None:
        """Make a host, once it `is_ready`; None where it cannot. Calls must not overlap."""
        if len(instance_id) != len(_NO_HOST):
            return None
        try:
            socket.send_fds(self._asking, [instance_id.encode()], [console.fileno(), ready])
            pid = self._asking.recv(_LARGEST)
        except ConnectionError:
            pid = b""
        except TimeoutError:  # it hangs, and what it still says would be taken for the next one's
            self.close()
            raise
        self._is_ready = bool(pid)
        return Forked(int(pid)) if pid else None

    def poll(self) -> int | None:
        """Return its status if it has ended."""
        return self._process.poll()

    def close(self) -> None:
        """End it; the hosts stay."""
        self._is_ready = False
        self._asking.close()
        self._process.kill()
        self._process.wait()


def serve(requests: socket.socket) -> tuple[str, list[int]]:
    """Fork hosts until nobody can ask any more; return in each its name and what it is given."""
    requests.send(_READY)
    while True:
        name, descriptors, *_ = socket.recv_fds(requests, _LARGEST, 2)
        if not name:
            sys.exit()
        hearing, telling = os.pipe()
        between = os.fork()
        if between == 0:
            host = os.fork()
            if host == 0:
                for one in (hearing, telling):
                    os.close(one)
                requests.close()
                return name.decode(), descriptors
            os.write(telling, str(host).encode())
            os._exit(0)  # the host is the daemon's child from now on, as it is the subreaper
        for one in (telling, *descriptors):
            os.close(one)
        os.waitpid(between, 0)
        requests.send(os.read(hearing, _LARGEST))
        os.close(hearing)


def become(instance_id: str, folder: Path, console: int) -> None:
    """Be a process of one's own, as the daemon starts one."""
    os.setsid()
    os.chdir(folder)
    for stream in (1, 2):
        os.dup2(console, stream)
    os.close(console)
    os.environ[MARK] = instance_id
    _show(instance_id)


def _show(instance_id: str) -> None:
    """Write the host's name where others read the command line and environment of this process."""
    said = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    args, args_end, environment, environment_end = map(int, said[45:49])
    for begin, end in ((args, args_end), (environment, environment_end)):
        at = ctypes.string_at(begin, end - begin).find(_NO_HOST.encode())
        if at >= 0:
            ctypes.memmove(begin + at, instance_id.encode(), len(_NO_HOST))


def main() -> None:
    """Fork hosts for whoever has the other end of the socket that the command line names."""
    requests, folder = socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])
    host = importlib.import_module(f"{__package__}.__main__")
    gc.collect()
    gc.freeze()  # or each host would look through all of it, and so copy it
    instance_id, (console, ready) = serve(requests)
    own = folder.with_name(instance_id)
    become(instance_id, own, console)
    host.run(own, ready)


if __name__ == "__main__":
    main()
