"""Groups of processes: one per machine, in every hierarchy that this computer has.

cgroup v2 kills and freezes; limits of CPU and memory are set where these controllers are, in v2 or,
on computers that still mount them one by one, in v1.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "spotcluster-lab-"
_CONTROLLERS = ("cpu", "memory")
_BUSY = 10.0  # seconds that a group whose last process has just ended may be busy for
_FREEZING = 60.0


def _mounts() -> tuple[Path | None, dict[str, Path]]:
    """Return where cgroup v2 is mounted, and where each controller that is a v1 hierarchy."""
    unified = None
    single: dict[str, Path] = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options = line.split()[:4]
        if kind == "cgroup2" and unified is None:
            unified = Path(place)
        elif kind == "cgroup":
            for name in _CONTROLLERS:
                if name in options.split(","):
                    single[name] = Path(place)
    return unified, single


class Cgroups:
    """The groups of one lab, below one of its own in every hierarchy.

    Parameters
    ----------
    owner : int
        The process that the lab belongs to, as this computer numbers it.
    """

    def __init__(self, owner: int) -> None:
        unified, single = _mounts()
        if unified is None:
            raise OSError("cgroup v2 is not mounted")
        name = f"{_PREFIX}{owner}"
        self._unified = unified / name
        self._single = {controller: place / name for controller, place in single.items()}
        self._all = (self._unified, *dict.fromkeys(self._single.values()))

    def make(self) -> None:
        """Make the lab's own groups."""
        for path in self._all:
            path.mkdir(exist_ok=True)
        there = (self._unified.parent / "cgroup.controllers").read_text().split()
        for path in (self._unified.parent, self._unified):
            for name in _CONTROLLERS:
                if name in there:
                    # Refused where processes are in the root's own group, as in a container;
                    # machines boot there too, and only their limits cannot be set.
                    with contextlib.suppress(OSError):
                        (path / "cgroup.subtree_control").write_text(f"+{name}")

    def group(self, name: str) -> Group:
        """Return the group of one machine, made if it is not there."""
        made = Group(self._unified / name, {key: path / name for key, path in self._single.items()})
        for path in made.paths:
            path.mkdir(exist_ok=True)
        return made

    def remove(self) -> None:
        """Remove all groups, which must be empty of processes."""
        for path in self._all:
            _remove(path)


def sweep() -> None:
    """Remove the empty groups of labs whose owner is gone: it was killed, and could not."""
    unified, single = _mounts()
    for mount in (unified, *single.values()):
        for path in mount.glob(f"{_PREFIX}*") if mount else ():
            owner = path.name.removeprefix(_PREFIX).partition("-")[0]
            if not Path("/proc", owner).exists():
                _remove(path)


def _remove(top: Path) -> None:
    end = time.monotonic() + _BUSY
    for folder, _, _ in os.walk(top, topdown=False):
        while True:
            try:
                Path(folder).rmdir()
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > end:
                    break
                time.sleep(0.01)
            else:
                break


class Group:
    """The processes of one machine."""

    def __init__(self, unified: Path, single: dict[str, Path]) -> None:
        self._unified = unified
        self._single = single

    @property
    def paths(self) -> tuple[Path, ...]:
        """The group's folders; who writes its process id into each one's ``cgroup.procs`` joins."""
        return (self._unified, *dict.fromkeys(self._single.values()))

    @property
    def populated(self) -> bool:
        """Whether any process is in it."""
        try:
            return "populated 1" in (self._unified / "cgroup.events").read_text()
        except FileNotFoundError:
            return False

    @property
    def frozen(self) -> bool:
        """Whether it was told to freeze."""
        try:
            return (self._unified / "cgroup.freeze").read_text().strip() == "1"
        except FileNotFoundError:
            return False

    def kill(self) -> None:
        """Kill every process at once."""
        with contextlib.suppress(FileNotFoundError):
            (self._unified / "cgroup.kill").write_text("1")

    def freeze(self, *, on: bool) -> None:
        """Stop every process where it is, or let them go on; return when that is so."""
        wanted = str(int(on))
        (self._unified / "cgroup.freeze").write_text(wanted)
        end = time.monotonic() + _FREEZING
        # A process that is being read for stops when what it reads has come.
        while f"frozen {wanted}" not in (self._unified / "cgroup.events").read_text():
            if time.monotonic() > end:
                raise OSError(f"not every process of {self._unified.name} stops")
            time.sleep(0.01)

    def limit_cpu(self, share: float | None) -> None:
        """Give all processes together `share` of one core; None for as much as there is."""
        period = 100_000
        quota = None if share is None else max(1000, int(share * period))
        if "cpu" in self._single:
            (self._single["cpu"] / "cpu.cfs_quota_us").write_text(str(quota or -1))
        else:
            (self._unified / "cpu.max").write_text(f"{quota or 'max'} {period}")

    def limit_memory(self, size: int | None) -> None:
        """Give all processes together `size` bytes of memory; None for as much as there is."""
        if "memory" in self._single:
            (self._single["memory"] / "memory.limit_in_bytes").write_text(str(size or -1))
        else:
            (self._unified / "memory.max").write_text(str(size or "max"))

    def init(self) -> int | None:
        """Return the process that is the machine's number 1, None before it has one."""
        for pid in self._processes():
            with contextlib.suppress(OSError):
                status = Path("/proc", pid, "status").read_text()
                numbers = next(
                    line for line in status.splitlines() if line.startswith("NSpid:")
                ).split()[1:]
                if len(numbers) > 1 and numbers[-1] == "1":
                    return int(pid)
        return None

    def count(self) -> int:
        """Return how many processes there are."""
        return sum(1 for _ in self._processes())

    def _processes(self) -> Iterator[str]:
        for folder, _, _ in os.walk(self._unified):
            with contextlib.suppress(OSError):
                yield from Path(folder, "cgroup.procs").read_text().split()

    def remove(self) -> None:
        """Remove the group, which must be empty."""
        for path in self.paths:
            _remove(path)
