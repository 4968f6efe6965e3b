"""The hosts of the local cloud as the daemon sees them: booting, watching and ending them."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil

from spotcluster.errors import LocalCloudError

from . import processes
from .host import disk
from .host.forker import Forked, Forker
from .host.layout import MARK, Layout, Running, Settings

if TYPE_CHECKING:
    from .instances import LocalInstance

log = logging.getLogger(__name__)

BOOT_LIMIT = 60.0
END_LIMIT = 30.0
GRACE = 1.0


class Hosts:
    """All hosts below one folder. Calls for one host must not overlap; for different ones they may.

    Parameters
    ----------
    folder : Path
        The local cloud's folder.
    subreaper : bool
        Whether this process is the daemon: it gets the orphans of hosts that were killed, and all
        its children are hosts or such orphans.
    """

    def __init__(self, folder: Path, *, subreaper: bool) -> None:
        self._subreaper = subreaper
        self._folder = folder / "hosts"
        self._snapshots = folder / "snapshots"
        self._cache = folder / "cache" / "uv"
        self._children: dict[str, subprocess.Popen[bytes] | Forked] = {}
        self._forker: Forker | None = None
        self._lock = threading.Lock()

    def layout(self, instance_id: str) -> Layout:
        """Return the folder of one host."""
        return Layout(self._folder / instance_id)

    def known(self) -> list[str]:
        """Return the instance ids of the hosts that have a folder."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if path.name.startswith("i-"))

    def prepare(
        self,
        instance_id: str,
        *,
        address: str,
        port: int,
        authorized_keys: tuple[str, ...],
        user_data: bytes,
        aws: Mapping[str, str],
        snapshot: str,
    ) -> None:
        """Make the folder of a host with what it needs to boot."""
        layout = self.layout(instance_id)
        # It is written last: without it, nothing of the host has run.
        if snapshot and not layout.settings_file.exists():
            disk.bring(self._snapshots / snapshot, layout)
        layout.make()
        self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.user_data.touch(mode=0o600)
        layout.user_data.write_bytes(user_data)
        layout.write_settings(
            Settings(instance_id, address, port, authorized_keys, str(self._cache), aws)
        )

    def keep(self, instance_id: str, snapshot: str) -> None:
        """Keep what the disk of a host holds now."""
        disk.keep(self.layout(instance_id), self._snapshots / snapshot)

    def drop(self, snapshot: str) -> None:
        """Keep it no longer."""
        _remove(self._snapshots / snapshot)

    def boot(self, instance_id: str) -> Running:
        """Start a prepared host and wait until it can be logged into.

        Raises
        ------
        LocalCloudError
            If it does not come up; the message ends with what its console says.
        """
        layout = self.layout(instance_id)
        layout.running_file.unlink(missing_ok=True)
        layout.shut_down.unlink(missing_ok=True)
        forker = self._ready_forker()
        reading, writing = os.pipe()
        try:
            # Under the lock, because an unknown child of ours is taken for a dead host's orphan.
            with layout.console.open("ab") as console, self._lock:
                child = forker and forker.fork(instance_id, console, writing)
                self._children[instance_id] = child or _start(layout, console, writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            ready, _, _ = select.select([pipe], [], [], BOOT_LIMIT)
            said = pipe.read(200) if ready else b""
        running = layout.running() if said else None
        if running is None:
            why = layout.console_tail(2000).strip().splitlines()[-3:]
            raise LocalCloudError(
                f"The local host {instance_id} did not come up within {BOOT_LIMIT:.0f} s: "
                + (" / ".join(why) or "its console is empty")
            )
        return running

    def find(self, instance_id: str) -> Running | None:
        """Return where a host listens, None when its server does not run or is to end."""
        self._bury(instance_id)
        if self.has_shut_down(instance_id):
            return None
        running = self.layout(instance_id).running()
        return running if processes.server_of(running) is not None else None

    def follow(self, instance: LocalInstance) -> None:
        """Tell the host its name, whether its groups let SSH in, and what EC2 says of it."""
        from . import ingress  # here, as those who only end hosts need not load moto
        from .host import metadata

        ingress.write(self.layout(instance.id), instance)
        metadata.write(self.layout(instance.id), instance)
        if instance.alias:  # nodes that are launched together get their own names a moment later
            self.layout(instance.id).call(instance.alias)

    def has_shut_down(self, instance_id: str) -> bool:
        """Return whether a program on the host has shut it down."""
        return self.layout(instance_id).shut_down.exists()

    def console(self, instance_id: str) -> str:
        """Return the end of what the host wrote to its console."""
        return self.layout(instance_id).console_tail()

    def counts(self) -> dict[str, int]:
        """Return how many processes each host has."""
        marked = processes.marks()
        return {
            host: len(processes.processes_of(host, self._server(host), marked.get(host, [])))
            for host in self.known()
        }

    def end(self, instance_id: str, *, politely: bool) -> None:
        """End every process of a host; its files stay."""
        processes.end_all(
            instance_id,
            self._server(instance_id),
            grace=GRACE if politely else 0.0,
            limit=END_LIMIT,
            orphans=self._orphans,
        )
        self.layout(instance_id).running_file.unlink(missing_ok=True)
        self._bury(instance_id)

    def remove(self, instance_id: str) -> None:
        """Remove the folder of a host that has ended."""
        _remove(self.layout(instance_id).folder)

    def bury(self) -> None:
        """Reap what has died below us: hosts, and what they left to us when they were killed."""
        with self._lock:
            hosts = list(self._children)
            if self._forker is not None:
                self._forker.poll()
        for instance_id in hosts:
            self._bury(instance_id)
        if self._subreaper and not _some_child_is_dead():
            return  # who it is takes a look at all processes of the computer
        for process in self._dead_orphans():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)

    def close(self) -> None:
        """End what only serves to start hosts."""
        with self._lock:
            if self._forker is not None:
                self._forker.close()

    def _ready_forker(self) -> Forker | None:
        """Return what hosts are forked of, where there is such a thing."""
        if not self._subreaper:
            return None
        with self._lock:
            if self._forker is None:
                self._forker = Forker(self._folder)
        return self._forker if self._forker.is_ready(BOOT_LIMIT) else None

    def _bury(self, instance_id: str) -> None:
        with self._lock:
            child = self._children.get(instance_id)
            if child is not None and child.poll() is not None:
                del self._children[instance_id]

    def _server(self, instance_id: str) -> psutil.Process | None:
        with self._lock:
            child = self._children.get(instance_id)
        if child is not None and child.poll() is None:
            # It may have not come as far as to write where it listens.
            with contextlib.suppress(psutil.Error):
                return psutil.Process(child.pid)
        return processes.server_of(self.layout(instance_id).running())

    def _orphans(self) -> list[psutil.Process]:
        """Return our children that are not hosts: the rest of one whose server was killed.

        The daemon is a subreaper too and starts nothing but hosts and what forks them, so there can
        be no other, and this finds even those that threw their environment away.
        """
        if not self._subreaper:
            return []
        # In this order: a host that is being started is known when its start has released the lock.
        children = psutil.Process().children()
        with self._lock:
            mine = {child.pid for child in self._children.values()}
            if self._forker is not None:
                mine.add(self._forker.pid)
        return [process for process in children if process.pid not in mine]

    def _dead_orphans(self) -> Iterator[psutil.Process]:
        for process in self._orphans():
            with contextlib.suppress(psutil.Error):
                if process.status() == psutil.STATUS_ZOMBIE:
                    yield process


def _start(layout: Layout, console: IO[bytes], ready: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "spotcluster.local.host"),
            *(str(layout.folder), str(ready)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=console,
        stderr=console,
        env={**os.environ, MARK: layout.instance_id},
        cwd=layout.folder,
        pass_fds=(ready,),
        start_new_session=True,
    )


def _some_child_is_dead() -> bool:
    """Return whether a child of ours waits to be reaped, by whomever; it still does afterwards."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + END_LIMIT
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _make_writable(folder)
        if time.monotonic() > deadline:
            raise LocalCloudError(f"The folder {folder} of an ended host cannot be removed.")


def _make_writable(folder: Path) -> None:
    """Let what is left be removed although a program on the host made it read-only."""
    for path, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(path).chmod(0o700)
