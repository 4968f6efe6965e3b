"""Ends a cluster that is idle, from its master; and a node whose master has gone, from itself.

A service on every node, as root where that can be had. Any Python will do: nothing here needs a
package, and nothing needs AWS credentials, as EC2 ends or stops what shuts itself down.

    autostop.py watch FOLDER    watch for ever, by FOLDER/autostop.json, and on a worker by
                                FOLDER/master.json, which comes when it meets its master; what is
                                seen is written to FOLDER/autostop.state
    autostop.py work            print what of the cluster runs as whoever runs this, a reason a line

Only the monotonic clock counts: one that is wrong, or is set, changes nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

WARNING = 300.0  # seconds before the end, in which it is said
LOOK = 30.0  # seconds between two looks; less where the limit is short
FRESH = 60.0  # seconds for which a sign of life of the controller's tasks holds
ROOT = Path.home() / ".spotcluster"
INIT = ("systemd", "init")
MULTIPLEXERS = ("tmux: server", "screen", "SCREEN")


class Countdown:
    """How long a node may still run that nothing holds up."""

    def __init__(self, now: float) -> None:
        self.since = now  # idle since
        self.sure = now  # when it was known last what runs
        self.warned = False

    def look(self, now: float, limit: float, *, busy: bool, sure: bool = True) -> float | None:
        """Take a look in; return the seconds that are left, None where there is no limit."""
        if sure:
            self.sure = now
        # What cannot be found out counts as work, but not for ever: nobody would end that bill.
        if busy or not limit or (not sure and now - self.sure < limit):
            self.since, self.warned = now, False
        return limit - (now - self.since) if limit else None

    def warns(self, left: float | None, limit: float) -> bool:
        """Return whether the end is near and has not been said yet."""
        if left is None or self.warned or left > min(WARNING, limit / 2):
            return False
        self.warned = True
        return True


def pause(limit: float) -> float:
    """Return the seconds until the next look."""
    return max(1.0, min(LOOK, limit / 10)) if limit else LOOK


# What runs as the cluster user.


def work() -> list[str]:
    """Return what of the cluster runs as this user."""
    return [*tasks(time.time()), *jobs(), *kernels()]


def tasks(now: float) -> list[str]:
    """Return whether something is not answered at the controller, which touches a file then."""
    try:
        age = now - (ROOT / "tasks").stat().st_mtime
    except OSError:
        return []
    return ["tasks at the controller"] if abs(age) < FRESH else []


def jobs() -> list[str]:
    """Return the jobs that run; who runs one holds a lock on it, see job.py."""
    found = []
    for begun in sorted(ROOT.glob("jobs/[0-9]*/begun.json")):
        folder = begun.parent
        if (folder / "end.json").exists():
            continue
        try:
            with (folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            found.append(f"job {folder.name}")
    return found


def kernels() -> list[str]:
    """Return the notebooks that compute something."""
    own = ROOT / "notebook"
    try:
        port, token = int((own / "port").read_text()), (own / "token").read_text().strip()
    except (OSError, ValueError):
        return []
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/kernels", headers={"Authorization": f"token {token}"}
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(asked, timeout=10) as answer:
            found = json.load(answer)
    except ConnectionRefusedError:
        return []
    except OSError as error:
        if isinstance(getattr(error, "reason", None), ConnectionRefusedError):
            return []
        raise
    busy = sum(one.get("execution_state") == "busy" for one in found)
    return [f"{busy} busy notebook kernel(s)"] if busy else []


# Who is logged in.


class Process:
    """What /proc says of a process that an SSH session of this machine has begun."""

    def __init__(self, folder: Path, stat: str) -> None:
        name, _, rest = stat.partition("(")[2].rpartition(")")
        words = rest.split()
        self.pid = int(folder.name)
        self.name = name
        self.parent = int(words[1])
        self.session = int(words[3])
        self.terminal = words[4] != "0"


def sessions(address: str, proc: Path = Path("/proc")) -> list[str]:
    """Return who is logged in, and what runs or is transferred, over SSH to our address.

    A tunnel alone is nobody. A shell that was left in tmux is nobody either, a program is.
    """
    mine = {}
    for folder in proc.glob("[0-9]*"):
        try:
            if _reached(folder / "environ") == address:
                one = Process(folder, (folder / "stat").read_text(errors="replace"))
                mine[one.pid] = one
        except (OSError, ValueError, IndexError):
            continue
    parents = {one.parent for one in mine.values()}
    found = []
    for one in mine.values():
        if one.parent in mine:
            of = mine[one.parent]
            if of.name.startswith(MULTIPLEXERS) and one.pid in parents:
                found.append("a program in tmux or screen")
        elif _begins_session(one) and not _is_init(proc, one.parent):
            found.append("a login" if one.terminal else "a command or transfer over SSH")
    return sorted(set(found))


def _begins_session(one: Process) -> bool:
    return one.pid == one.session and not one.name.startswith(MULTIPLEXERS)


def _reached(environ: Path) -> str:
    """Return the address that the SSH session of a process came to."""
    for one in environ.read_bytes().split(b"\0"):
        if one.startswith(b"SSH_CONNECTION="):
            words = one.decode(errors="replace").split()
            return words[2] if len(words) == 4 else ""
    return ""


def _is_init(proc: Path, pid: int) -> bool:
    try:
        return pid <= 1 or (proc / str(pid) / "comm").read_text().strip() in INIT
    except OSError:
        return False


# The service.


class Watch:
    """Looks, and ends what is to end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = {}
        self.countdown = Countdown(time.monotonic())
        self.postponed = ""
        self.set: float | None = None  # which ceiling we go by
        self.until: float | None = None

    def run(self) -> None:
        """Watch for ever."""
        while True:
            self.look(time.monotonic())
            time.sleep(pause(self.settings.get("idle", 0.0)))

    def look(self, now: float) -> None:
        """Look once."""
        self.settings = self.read("autostop.json") or self.settings
        limit = float(self.settings.get("idle", 0.0))
        reasons, sure = self.reasons() if limit else ([], True)
        if self.settings.get("postponed", "") != self.postponed:
            self.postponed = self.settings["postponed"]
            reasons.append("it was postponed")
        left = self.countdown.look(now, limit, busy=bool(reasons), sure=sure)
        if self.countdown.warns(left, limit):
            self.warn(left or 0.0)
        over = self.ceiling(now)
        ends = (left is not None and left <= 0) or (over is not None and over <= 0)
        self.write(
            {
                "limit": limit,
                "left": left,
                "busy": reasons,
                "ends": ends,
                "ceiling": over,
                "set": self.set,
                "until": self.until,
                "boot": boot(),
            }
        )
        if ends:
            self.end()

    def ceiling(self, now: float) -> float | None:
        """Return the seconds until this node ends whatever runs; None where it has no ceiling."""
        if self.until is None and (self.folder / "autostop.state").exists():
            was = self.read("autostop.state")
            if was.get("boot") == boot():  # we were started again, and the clock was not
                self.set, self.until = was.get("set"), was.get("until")
        if self.settings.get("set", self.set) != self.set:
            self.set, self.until = self.settings["set"], now + self.settings["ceiling"]
            say(f"the ceiling is {self.settings['ceiling']:.0f} s from now")
            if self.units:
                self.arm(self.settings["ceiling"])
        return None if self.until is None else self.until - now

    def arm(self, seconds: float) -> None:
        """Set the timer of this machine's that holds when we do not run; see ceiling.py."""
        unit = "spotcluster-ceiling"
        stop = ["systemctl", "stop", f"{unit}.timer"]
        start = ["systemd-run", f"--unit={unit}", f"--on-active={max(1, int(seconds))}"]
        start += ["--timer-property=AccuracySec=1s", "systemctl", "poweroff", "--ignore-inhibitors"]
        for command in (stop, start):
            done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
            if done.returncode:
                say(f"{command[0]}: {done.stderr.strip()}")

    def read(self, name: str) -> dict[str, Any]:
        """Return what a file of ours says, nothing where it cannot be read."""
        try:
            found: dict[str, Any] = json.loads((self.folder / name).read_text())
        except (OSError, ValueError) as error:
            say(f"{name} cannot be read: {error}")
            return {}
        return found

    def reasons(self) -> tuple[list[str], bool]:
        """Return why this node is to run on, and whether that is all that there is to know."""
        if not self.settings["is_master"]:
            return (["its master is there"] if self.reaches_master() else []), True
        found = sessions(self.settings["address"])
        try:
            found += self.work()
        except (OSError, KeyError, subprocess.SubprocessError) as error:
            say(f"what runs here cannot be found out: {error}")
            return found, False
        return found, True

    def work(self) -> list[str]:
        """Ask for what runs as the cluster user, as that user: root opens no file of its."""
        as_user: dict[str, Any] = {}
        home = str(Path.home())
        if self.units:
            user = pwd.getpwnam(self.settings["account"])
            as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            home = user.pw_dir
        done = subprocess.run(
            [sys.executable, "-I", "-c", Path(__file__).read_text(), "work"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={**os.environ, "HOME": home},
            cwd="/",
            **as_user,
        )
        return str(done.stdout).splitlines()

    @property
    def units(self) -> bool:
        """Whether this is a machine of its own, which root may shut down."""
        return bool(self.settings["units"])

    def reaches_master(self) -> bool:
        """Return whether the master's SSH server takes a connection."""
        master = self.read("master.json")
        if not master:
            return False
        try:
            with socket.create_connection((master["address"], master["port"]), timeout=10):
                return True
        except OSError:
            return False

    def warn(self, left: float) -> None:
        """Say that the end is near, to whoever has a terminal here too."""
        when = f"{left / 60:.0f} min" if left >= 120 else f"{left:.0f} s"
        text = (
            f"This node is idle and shuts down in {when}. Anything that runs postpones"
            f" that, or: spotcluster autostop {self.settings['cluster']}"
        )
        say(text)
        if self.units and shutil.which("wall"):
            subprocess.run(["wall", text], check=False, timeout=30)

    def write(self, state: dict[str, Any]) -> None:
        """Write down what was seen."""
        aside = self.folder / "autostop.state.new"
        try:
            aside.write_text(json.dumps(state))
            aside.replace(self.folder / "autostop.state")
        except OSError as error:  # a full disk keeps nothing from ending
            say(f"what was seen cannot be written: {error}")

    def end(self) -> None:
        """Shut down: the workers first, then this node."""
        say("shutting down")
        if self.settings["is_master"]:
            self.end_workers()
        command = shutil.which("shutdown") or "shutdown"
        if not self.units and command.startswith(("/bin", "/sbin", "/usr")):
            say(f"{command} is not of this host; nothing is shut down")
            return
        done = subprocess.run([command, "-h", "now"], check=False, timeout=60)
        if done.returncode:
            say(f"{command} ended with {done.returncode}; it is tried again")

    def end_workers(self) -> None:
        """Shut the workers down over SSH; one that is not reached does so when we are gone."""
        places = (Path("/etc/spotcluster/ssh"), Path.home() / ".ssh" / "spotcluster")
        place = places[0 if self.units else 1]
        login = ["runuser", "-u", self.settings["login"], "--"] if self.units else []
        down = "sudo -n shutdown -h now 2>/dev/null || shutdown -h now"
        options = ["-n", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        running = [
            subprocess.Popen([*login, "ssh", *options, one.stem, down])
            for one in sorted(place.glob("*.conf"))
        ]
        until = time.monotonic() + 60
        for one in running:
            try:
                one.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.kill()


def boot() -> str:
    """Return what tells one start of this machine from the next, where there is such a thing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def say(text: str) -> None:
    """Write a line into the log."""
    sys.stdout.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "work":
        sys.stdout.writelines(f"{one}\n" for one in work())
    else:
        Watch(Path(sys.argv[2])).run()
