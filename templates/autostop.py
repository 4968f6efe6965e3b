"""Ends a cluster that is idle, from its master; and a node whose master has gone, from itself.

A service on every node, as root where that can be had. Any Python will do: nothing here needs a
package, and nothing needs AWS credentials, as EC2 ends or stops what shuts itself down.

    autostop.py FOLDER      watch for ever, by FOLDER/autostop.json, and on a worker by
                            FOLDER/master.json, which comes when it meets its master; what is
                            seen is written to FOLDER/autostop.state

What of the cluster runs there is asked of autostop_work.py, as the cluster user.

Only the monotonic clock counts: one that is wrong, or is set, changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

WARNING = 300.0  # seconds before the end, in which it is said
LOOK = 30.0  # seconds between two looks; less where the limit is short
LONGEST = 300  # seconds that a look may take; one that hangs is begun anew
GRACE = 900.0  # seconds that a node whose ceiling is over has from its boot on, to be told another
BUSY = 0.5  # of a core: more is work, where nothing better is known
UNSURE = "? "  # begins what could not be found out
AT_ONCE = 32  # workers
PATIENCE = 10.0  # seconds for the master to answer
STATE = "autostop.state"
LOOKS = b"spotcluster-looks"  # in the command line of `status`; see spotcluster/ssh/script.py
CEILING = Path("/var/lib/spotcluster/ceiling")  # what the timer goes by that needs no service
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
        if left is None or not self.is_near(left, limit):
            return False
        self.warned = True
        return True

    def is_near(self, left: float, limit: float) -> bool:
        """Return whether the end has come near since that was said last."""
        return not self.warned and left <= min(WARNING, limit / 2)


def pause(limit: float) -> float:
    """Return the seconds until the next look."""
    return max(1.0, min(LOOK, limit / 10)) if limit else LOOK


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
    found = []
    for folder in proc.glob("[0-9]*"):
        try:
            if _looks(command := (folder / "cmdline").read_bytes()):
                continue
            if _INTERNAL.match(command):  # sshd itself, without a word of it in its environment
                found.append("a command or transfer over SSH")
            elif _reached(folder / "environ") == address:
                one = Process(folder, (folder / "stat").read_text(errors="replace"))
                mine[one.pid] = one
        except (OSError, ValueError, IndexError):
            continue
    parents = {one.parent for one in mine.values()}
    for one in mine.values():
        if one.parent in mine:
            of = mine[one.parent]
            if of.name.startswith(MULTIPLEXERS) and one.pid in parents:
                found.append("a program in tmux or screen")
        elif _begins_session(one) and not _is_init(proc, one.parent):
            found.append("a login" if one.terminal else "a command or transfer over SSH")
    return sorted(set(found))


_INTERNAL = re.compile(rb"sshd[^ ]*: .*@internal-sftp")


def _looks(command: bytes) -> bool:
    """Return whether a process is of who only looks how this node does: the master, `status`."""
    return STATE.encode() in command or LOOKS in command


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
        self.met = -math.inf  # when our master was there last
        self.set: float | None = None  # which ceiling we go by
        self.until: float | None = None
        self.total = 0.0  # how long it was when it was said
        self.nearly_over = False
        self.restore(time.monotonic())

    def restore(self, now: float) -> None:
        """Go on where we were, if we were started again; a boot is no new life to a ceiling."""
        was = self.read(STATE) if (self.folder / STATE).exists() else {}
        with contextlib.suppress(KeyError, TypeError, ValueError):
            self.settings = dict(was["settings"])  # in case that ours cannot be read
            # A local host that comes back has the boot of the computer that it is on.
            if was["boot"] == boot() and not was["ends"] and now - was["at"] < 2 * LONGEST:
                self.countdown.since, self.countdown.sure = float(was["since"]), float(was["sure"])
                self.postponed = str(was["postponed"])
            if was["until"] is not None:
                over = was["until"] - now
                if was["boot"] != boot():
                    over = max(GRACE, min(was["ceiling"], timer()))
                self.set, self.until, self.total = was["set"], now + over, was["total"]

    def run(self) -> None:
        """Watch for ever."""
        self.stand(time.monotonic(), unseen=True)  # in case that no look comes to its end
        while True:
            signal.alarm(LONGEST)
            try:
                self.look(time.monotonic())
            except Exception:  # noqa: BLE001 - whatever it is, an idle node ends
                say(traceback.format_exc())
                self.stand(time.monotonic(), unseen=True)
            time.sleep(pause(self.settings.get("idle", 0.0)))

    def look(self, now: float) -> None:
        """Look once."""
        self.settings = self.read("autostop.json") or self.settings
        own, unknown = self.of_this_node()
        reasons = [*own]
        if not self.settings["is_master"] and self.has_master(now):
            reasons.append("its master is there")
        if self.settings.get("postponed", self.postponed) != self.postponed:
            self.postponed = self.settings["postponed"]
            reasons.append("it was postponed")
        left = self.countdown.look(now, self.limit, busy=bool(reasons), sure=not unknown)
        near = left is not None and (left <= 0 or self.countdown.is_near(left, self.limit))
        if near and self.settings["is_master"]:
            reasons += self.of_workers(unknown=unknown)
            left = self.countdown.look(now, self.limit, busy=bool(reasons), sure=not unknown)
        if self.countdown.warns(left, self.limit):
            self.warn_idle(left or 0.0)
        self.stand(now, left, reasons, own)

    @property
    def limit(self) -> float:
        """After how many seconds idle we end; 0 for never."""
        return float(self.settings.get("idle", 0.0))

    def stand(
        self,
        now: float,
        left: float | None = None,
        reasons: Sequence[str] = (),
        own: Sequence[str] = (),
        *,
        unseen: bool = False,
    ) -> None:
        """Write down where we are, and end where it is time to."""
        if unseen:
            self.settings = self.read("autostop.json") or self.settings
            left = self.countdown.look(now, self.limit, busy=False, sure=False)
        over = self.ceiling(now)
        ends = (left is not None and left <= 0) or (over is not None and over <= 0)
        self.write(
            {
                "limit": self.limit,
                "left": left,
                "busy": [*reasons],
                "own": [*own],
                "load": os.getloadavg()[0],
                "ends": ends,
                "at": now,
                "ceiling": over,
                "set": self.set,
                "until": self.until,
                "total": self.total,
                "since": self.countdown.since,
                "sure": self.countdown.sure,
                "postponed": self.postponed,
                "settings": self.settings,
                "boot": boot(),
            }
        )
        if ends:
            self.end()

    def ceiling(self, now: float) -> float | None:
        """Return the seconds until this node ends whatever runs; None where it has no ceiling."""
        if self.settings.get("set", self.set) != self.set:
            self.set, self.total = self.settings["set"], float(self.settings["ceiling"])
            self.until = now + self.total
            self.nearly_over = False
            say(f"the ceiling is {self.total:.0f} s from now")
        if self.until is None:
            return None
        over = self.until - now
        if self.is_root:
            self.set_timer(over)
        if over <= self.total / 5 and not self.nearly_over:
            self.nearly_over = True
            self.warn(
                f"BUDGET or MAX_HOURS is 80% used up: this node shuts down in {words(over)},"
                f" whatever runs. `spotcluster autostop {self.settings['cluster']}` counts it by"
                " what was really spent, and --budget there raises it."
            )
        return over

    def set_timer(self, seconds: float) -> None:
        """Set the timer of this machine's that holds when we do not run; see ceiling.py."""
        try:
            CEILING.parent.mkdir(parents=True, exist_ok=True)
            aside = CEILING.with_name("ceiling.next")
            aside.write_text(f"{max(0, int(seconds))}\n")
            aside.replace(CEILING)
        except OSError as error:
            say(f"the timer cannot be set: {error}")

    def read(self, name: str) -> dict[str, Any]:
        """Return what a file of ours says, nothing where it cannot be read."""
        try:
            found = json.loads((self.folder / name).read_text())
        except (OSError, ValueError) as error:
            say(f"{name} cannot be read: {error}")
            return {}
        return found if isinstance(found, dict) else {}

    def of_this_node(self) -> tuple[list[str], bool]:
        """Return what runs on this node, and whether there may be more than can be found out."""
        said = [*sessions(self.settings["address"])]
        if self.settings["is_master"]:
            try:
                said += self.work()
            except (OSError, KeyError, subprocess.SubprocessError) as error:
                said.append(f"{UNSURE}{error}")
        unknown = [one for one in said if one.startswith(UNSURE)]
        for one in unknown:
            say(f"cannot be found out: {one}")
        return [one for one in said if one not in unknown], bool(unknown)

    def of_workers(self, *, unknown: bool) -> list[str]:
        """Return what the workers are busy with; if we do not know, that they compute is enough."""
        folder = "spotcluster/services"
        look = f"cat /etc/{folder}/{STATE} 2>/dev/null || cat .{folder}/{STATE}"
        found: set[str] = set()
        loads = [os.getloadavg()[0]] if self.is_root else []
        for said in self.on_workers(look):
            with contextlib.suppress(KeyError, TypeError, ValueError):
                state = json.loads(said)
                found |= {f"{one} on a worker" for one in state["own"]}
                loads.append(float(state["load"]))
        if unknown and max(loads, default=0.0) >= BUSY:
            found.add("something that computes")
        return sorted(found)

    def work(self) -> list[str]:
        """Ask for what runs as the cluster user, as that user: root opens no file of its."""
        as_user: dict[str, Any] = {}
        home = str(Path.home())
        if self.is_root:
            user = pwd.getpwnam(self.settings["account"])
            as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            home = user.pw_dir
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", (self.folder / "autostop_work.py").read_text()],
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
    def is_root(self) -> bool:
        """Whether this is a machine of its own, which we may shut down."""
        return bool(self.settings.get("root"))

    def has_master(self, now: float) -> bool:
        """Return whether our master was there a short while ago; it has many that ask."""
        if now - self.met >= self.limit / 20 and self.reaches_master():
            self.met = now
        return now - self.met <= self.limit / 20

    def reaches_master(self) -> bool:
        """Return whether the master's SSH server speaks, and not only its kernel."""
        master = self.read("master.json")
        if not master:
            return False
        try:
            where = (master["address"], master["port"])
            with socket.create_connection(where, timeout=PATIENCE) as connection:
                return bool(connection.recv(4))
        except OSError:
            return False

    def warn_idle(self, left: float) -> None:
        """Say that the end is near."""
        self.warn(
            f"This node is idle and shuts down in {words(left)}. Anything that runs postpones"
            f" that, or: spotcluster autostop {self.settings['cluster']}"
        )

    def warn(self, text: str) -> None:
        """Say something to whoever has a terminal here, and in the log."""
        say(text)
        if self.is_root and shutil.which("wall"):
            try:
                subprocess.run(["wall", text], check=False, timeout=30)
            except (OSError, subprocess.SubprocessError) as error:
                say(f"nobody was told: {error}")

    def write(self, state: dict[str, Any]) -> None:
        """Write down what was seen."""
        aside = self.folder / f"{STATE}.new"
        try:
            aside.write_text(json.dumps(state))
            aside.replace(self.folder / STATE)
        except OSError as error:  # a full disk keeps nothing from ending
            say(f"what was seen cannot be written: {error}")

    def end(self) -> None:
        """Shut down: the workers first, then this node. What fails is tried again."""
        say("shutting down")
        if self.settings.get("is_master"):
            down = "sudo -n shutdown -h now 2>/dev/null || shutdown -h now"
            try:
                for _ in self.on_workers(down):
                    pass  # one that is not reached ends by itself when we are gone
            except (OSError, KeyError, subprocess.SubprocessError) as error:
                say(f"workers were not told: {error}")
        command = shutil.which("shutdown") or "shutdown"
        if not self.is_root and command.startswith(("/bin", "/sbin", "/usr")):
            say(f"{command} is not of this host; nothing is shut down")
            return
        try:
            subprocess.run([command, "-h", "now"], check=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            say(f"it did not shut down: {error}")

    def on_workers(self, command: str) -> Iterator[str]:
        """Yield what a command says on each worker, over SSH."""
        places = (Path("/etc/spotcluster/ssh"), Path.home() / ".ssh" / "spotcluster")
        login = []
        if self.is_root:
            become = ["runuser"] if shutil.which("runuser") else ["sudo", "-n"]
            login = [*become, "-u", self.settings["login"], "--"]
        options = ["-n", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        names = [one.stem for one in sorted(places[0 if self.is_root else 1].glob("*.conf"))]
        until = time.monotonic() + LONGEST / 3
        for first in range(0, len(names), AT_ONCE):
            running = [
                subprocess.Popen(
                    [*login, "ssh", *options, name, command],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    cwd="/",
                )
                for name in names[first : first + AT_ONCE]
            ]
            for one in running:
                try:
                    yield one.communicate(timeout=max(0.1, until - time.monotonic()))[0]
                except subprocess.TimeoutExpired:
                    one.kill()
                    one.communicate()


def words(seconds: float) -> str:
    """Return a duration as it is said."""
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{max(0.0, seconds):.0f} s"


def timer() -> float:
    """Return what is left by this machine's own timer, which counted while we did not run."""
    try:
        return float(CEILING.read_text())
    except (OSError, ValueError):
        return math.inf


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
    Watch(Path(sys.argv[1])).run()
