"""Jobs, on the master, as the cluster user. Any Python will do: nothing here needs a package.

    job.py new                      make a job of the JSON on standard input; print its number
    job.py run N                    run it to its end, whoever listens
    job.py list [N]                 print all jobs, or this one
    job.py follow N START MARK ON   print its output from START on (a byte, or -LINES), in frames
    job.py cancel N LIMIT           end it: TERM, and KILL after LIMIT seconds

What is known of a job is in ~/.spotcluster/jobs/N: spec.json, then begun.json, then end.json, and
its output. Who runs a job holds a lock on it for as long as that lasts, which no machine that went
down and no process that was killed can leave behind: a job that has begun and not ended and that
nobody holds is lost. Its own folder is ~/jobs/N.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

HOME = Path.home()
ROOT = HOME / ".spotcluster"
JOBS = ROOT / "jobs"
MARK = "SPOTCLUSTER_JOB_FOLDER"  # in the environment of all that belongs to a job
CHUNK = 256 * 1024
BEAT = 10.0  # seconds of silence after which we say that we are there, and notice who has gone
GRACE = 10.0  # between TERM and KILL, where nobody said otherwise
LAST = 5.0  # to wait for what was killed


def read(path: Path) -> dict[str, Any]:
    """Return what a file says, nothing where there is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def write(path: Path, value: dict[str, Any]) -> None:
    """Write a file whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def say(text: str) -> None:
    """Answer whoever called us."""
    sys.stdout.write(f"{text}\n")


def new() -> None:
    """Make a job."""
    spec = json.load(sys.stdin)
    spec["created"] = time.time()
    JOBS.mkdir(mode=0o700, parents=True, exist_ok=True)
    (HOME / "jobs").mkdir(mode=0o700, exist_ok=True)
    number = max([0, *numbers()]) + 1
    while True:
        try:  # whoever makes the folder has the number
            (HOME / "jobs" / str(number)).mkdir(mode=0o700)
            break
        except FileExistsError:
            number += 1
    folder = JOBS / str(number)
    folder.mkdir(mode=0o700)
    write(folder / "spec.json", spec)
    say(str(number))


def numbers() -> list[int]:
    """Return the numbers of all jobs."""
    return sorted(int(path.parent.name) for path in JOBS.glob("[0-9]*/spec.json"))


def describe(number: int) -> dict[str, Any]:
    """Return what is known of a job, and write down that it is lost when it is."""
    folder = JOBS / str(number)
    spec = read(folder / "spec.json")
    if not spec:
        sys.exit(f"There is no job {number}.")
    # In this order: who runs a job holds it, then writes that it has begun, and writes its end
    # before letting go.
    begun = read(folder / "begun.json")
    held = is_held(folder)
    ended = read(folder / "end.json")
    if begun and not ended and not held:
        ended = lose(folder, begun)
    state = "running" if held and begun else "new"
    found = {"state": state, "status": None, "reason": "", "started": None, "ended": None}
    return {"id": number, "now": time.time(), **found, **spec, **begun, **ended}


def is_held(folder: Path) -> bool:
    """Say whether something runs the job."""
    try:
        with (folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def lose(folder: Path, begun: dict[str, Any]) -> dict[str, Any]:
    """Write down that a job was lost, and end what may be left of it."""
    for pid in strays(folder):
        kill(pid, signal.SIGKILL)
    last = begun["started"]
    if (folder / "output").exists():
        last = max(last, (folder / "output").stat().st_mtime)
    ended: dict[str, Any] = {"state": "lost", "status": None, "ended": last}
    ended["reason"] = "the machine went down, or what ran the job was killed"
    if begun.get("boot") == boot():
        ended["reason"] = "what ran the job was killed"
    write(folder / "end.json", ended)
    return ended


def boot() -> str:
    """Return what tells one start of the machine from the next, where there is such a thing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def strays(folder: Path) -> list[int]:
    """Return the processes of a job that nobody looks after; where there is /proc."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def kill(pid: int, number: int) -> None:
    """Send a signal to a process, which may have ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def below(top: int) -> list[int]:
    """Return the descendants of a process, which has become the parent of its orphans too."""
    with subprocess.Popen(["ps", "-eo", "pid=,ppid=,stat="], stdout=subprocess.PIPE) as asked:
        said = asked.communicate()[0].decode(errors="replace")
    children: dict[int, list[int]] = {}
    for line in said.splitlines():
        pid, parent, state = line.split()[:3]
        if not state.startswith("Z") and int(pid) != asked.pid:
            children.setdefault(int(parent), []).append(int(pid))
    found: list[int] = []
    todo = [top]
    while todo:
        mine = children.get(todo.pop(), [])
        found += mine
        todo += mine
    return found


class Run:
    """One job being run."""

    def __init__(self, number: int) -> None:
        self.folder = JOBS / str(number)
        self.number = number
        self.spec = read(self.folder / "spec.json")
        self.told = False
        self.status: int | None = None
        self.reader, self.writer = socket.socketpair()
        self.writer.settimeout(0)

    def environment(self) -> dict[str, str]:
        """Return what the job finds in its environment."""
        env = ROOT / "env"
        given = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
        given.update(
            {
                MARK: str(self.folder),
                "SPOTCLUSTER_JOB": str(self.number),
                "SPOTCLUSTER_CLUSTER": self.spec["cluster"],
                "PYTHONUNBUFFERED": "1",
                "PWD": str(HOME / "jobs" / str(self.number)),
            }
        )
        given.setdefault("LANG", "C.UTF-8")
        if env.is_dir():
            given["VIRTUAL_ENV"] = str(env)
            given["PATH"] = f"{env / 'bin'}:{given.get('PATH', os.defpath)}"
        return given

    def tell(self, *_: object) -> None:
        """Take note of a signal that asks us to end."""
        self.told = True

    def run(self) -> None:
        """Run it to its end."""
        lock = (self.folder / "lock").open("a")
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for those who only look
        if (self.folder / "end.json").exists():
            return
        signal.set_wakeup_fd(self.writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.tell)
        adopt()
        begun = {"pid": os.getpid(), "started": time.time(), "boot": boot()}
        with (self.folder / "output").open("ab", buffering=0) as output:
            write(self.folder / "begun.json", begun)
            child = self.start(output)
        if child is not None:
            self.watch(child)
        self.clear()
        self.end()

    def start(self, output: BinaryIO) -> int | None:
        """Start its command; None where that cannot be, which is its end."""
        command = list(self.spec["command"])
        env = self.environment()
        if command[0] == "python" and shutil.which("python", path=env.get("PATH")) is None:
            command[0] = "python3"
        try:
            child = subprocess.Popen(
                command,
                executable=shutil.which(command[0], path=env.get("PATH")),
                cwd=str(HOME / "jobs" / str(self.number)),
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            output.write(f"spotcluster: cannot run {command[0]}: {error.strerror}\n".encode())
            self.status = 126 if isinstance(error, PermissionError) else 127
            return None
        child.returncode = 0  # keep Popen from waiting for it, wherever it is thrown away: we do
        return child.pid

    def watch(self, child: int) -> None:
        """Wait for the job; when told so, end all that belongs to it."""
        deadline: float | None = None
        while self.reap(child) is None:
            now = time.monotonic()
            if self.told and deadline is None:
                deadline = now + self.limit()
                for pid in below(os.getpid()):
                    kill(pid, signal.SIGTERM)
            elif deadline is not None and now >= deadline:
                for pid in below(os.getpid()):
                    kill(pid, signal.SIGKILL)
            pause = BEAT if deadline is None else max(0.1, min(1.0, deadline - now))
            ready, _, _ = select.select([self.reader], [], [], pause)
            if ready:
                self.reader.recv(4096)

    def limit(self) -> float:
        """Return how long it may take to end by itself."""
        return float(read(self.folder / "cancel.json").get("limit", GRACE))

    def reap(self, child: int = 0) -> int | None:
        """Bury whoever has died; return the status of the job once it has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == child:
                ended = os.WIFSIGNALED(status)
                self.status = 128 + os.WTERMSIG(status) if ended else os.WEXITSTATUS(status)
        return self.status

    def clear(self) -> None:
        """End what the job has left in the background: it ends with its command."""
        limit = time.monotonic() + LAST
        while (left := below(os.getpid())) and time.monotonic() < limit:
            for pid in left:
                kill(pid, signal.SIGKILL)
            time.sleep(0.02)
            self.reap()

    def end(self) -> None:
        """Write down how it ended."""
        ended: dict[str, Any] = {"status": self.status, "ended": time.time(), "reason": ""}
        if (self.folder / "cancel.json").exists():
            ended["state"] = "cancelled"
        elif self.told:
            ended.update(state="lost", status=None, reason="the machine was shut down")
        else:
            ended["state"] = "failed" if self.status else "done"
        write(self.folder / "end.json", ended)


def adopt() -> None:
    """Become the parent of what the job leaves behind, so that it can be found."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def follow(number: int, start: int, mark: str, *, on: bool) -> None:
    """Print a job's output in frames, and as the last one what is known of it.

    A frame is its length on a line, then so many bytes; @ leads the place where we begin, and = the
    job itself.
    """
    out = sys.stdout.buffer
    path = JOBS / str(number) / "output"
    out.write(f"{mark}\n".encode())
    offset = from_the_end(path, -start) if start < 0 else start
    out.write(f"@{offset}\n".encode())
    out.flush()
    spoken, pause = time.monotonic(), 0.02
    while True:
        found = describe(number)  # before we read: what it printed last is there then
        sent = False
        while data := part(path, offset):
            out.write(b"%d\n" % len(data) + data)
            out.flush()
            offset += len(data)
            sent = True
        if found["state"] != "running" or not on:
            out.write(b"=" + json.dumps(found).encode() + b"\n")
            out.flush()
            return
        now = time.monotonic()
        if sent:
            spoken, pause = now, 0.02
        elif now - spoken > BEAT:
            out.write(b"0\n")
            out.flush()
            spoken = now
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def part(path: Path, offset: int) -> bytes:
    """Return the next piece of the output."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK)
    except FileNotFoundError:
        return b""


def from_the_end(path: Path, lines: int) -> int:
    """Return where the last so many lines begin."""
    try:
        with path.open("rb") as file:
            place = size = file.seek(0, 2)
            seen = 0
            while place > 0:
                step = min(CHUNK, place)
                place -= step
                file.seek(place)
                data = file.read(step)
                at = len(data)
                if place + step == size and data.endswith(b"\n"):
                    at -= 1  # the end of the last line begins no other
                while (at := data.rfind(b"\n", 0, at)) >= 0:
                    seen += 1
                    if seen == lines:
                        return place + at + 1
            return 0
    except FileNotFoundError:
        return 0


def cancel(number: int, limit: float) -> None:
    """End a job and print what became of it."""
    folder = JOBS / str(number)
    found = describe(number)
    if found["state"] == "new":
        now = time.time()
        ended = {"state": "cancelled", "status": None, "ended": now, "reason": "it had not begun"}
        write(folder / "end.json", ended)
    elif found["state"] == "running":
        write(folder / "cancel.json", {"limit": limit})
        # The number is that of the process which holds the lock, so of no other.
        pid = read(folder / "begun.json").get("pid")
        if pid and is_held(folder):
            kill(pid, signal.SIGTERM)
        end = time.monotonic() + limit + LAST + 5
        while (found := describe(number))["state"] == "running":
            if time.monotonic() > end and pid:
                kill(pid, signal.SIGKILL)
                end += LAST
            time.sleep(0.05)
    say(json.dumps(describe(number)))


def main(action: str, *words: str) -> None:
    """Do what the command line says."""
    os.umask(0o077)
    if action == "new":
        new()
    elif action == "list":
        wanted = [int(word) for word in words]
        found = [number for number in numbers() if not wanted or number in wanted]
        say(json.dumps([describe(number) for number in found]))
    elif action == "run":
        Run(int(words[0])).run()
    elif action == "follow":
        follow(int(words[0]), int(words[1]), words[2], on=words[3] == "on")
    elif action == "cancel":
        cancel(int(words[0]), float(words[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
