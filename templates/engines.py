"""The engines of a node, forked of one process that has imported what they need.

To import ipyparallel, scikit-learn and what these need is most of what an engine takes of a
processor until it can work, and most of the memory that it has then. Here it is done once, and the
engines share it. Each is a process as if started by itself: in a group of its own, with its own
identity and log. One that ends is made again, after a pause that grows while none lives for long;
none while the node drains. They end with this process, whatever ends it.

Where a process that is only forked may not do everything, and where packages have changed since
they were imported here, an engine imports by itself what it needs: what is there now.

An engine has a nanny: a process that tells the controller at once when the engine has died, and
hands signals on. ipyparallel starts a Python for it, which imports again what the engine has
imported, while the engine waits. On Linux it is forked before the engine has begun, and takes what
ipyparallel gives it when that is so.

Arguments: the folder where the file ``number`` says how many engines there are to be, and where
``running`` tells of each that runs, a line with its number and its process; the folder of the logs;
then what each engine is given. Or ``one`` and what it is given, to be an engine. SPOTCLUSTER_NODE
and SPOTCLUSTER_DRAIN_FLAG are in the environment.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import os
import select
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

NEEDED = (
    "ipyparallel.engine.app",
    "ipyparallel.engine.nanny",
    "ipykernel.debugger",  # which every kernel imports when it begins, as the next five
    "IPython.core.completerlib",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "sqlite3",
    "tornado.platform.asyncio",
    "joblib",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "sklearn.svm",
    "urllib.request",
)
"""What engines import, and what most evaluations do. What is not there is left out."""

ONE = "one"
IS_LINUX = sys.platform == "linux"
FIRST_PAUSE, LAST_PAUSE, LONG = 1.0, 30.0, 30.0  # seconds; who lives long pauses shortly again
LOOK = 1.0  # seconds between two looks at the files
STOPPING = 4.0  # seconds that engines may take to end cleanly; who ends this process gives it 5
SIGNALS = (signal.SIGTERM, signal.SIGCHLD)
_OF_PACKAGES = (".dist-info", ".egg-info", ".pth", ".py")
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36  # of linux/prctl.h


class Engines:
    """The engines that run, and those that are to.

    Parameters
    ----------
    folder, logs : Path
        See above.
    arguments : list of str
        What each engine is given.
    """

    def __init__(self, folder: Path, logs: Path, arguments: list[str]) -> None:
        self._folder = folder
        self._logs = logs
        self._arguments = arguments
        self._node = os.environ["SPOTCLUSTER_NODE"]
        self._drain = Path(os.environ["SPOTCLUSTER_DRAIN_FLAG"])
        self._wanted = 0
        self._running: dict[int, int] = {}  # numbers, by process
        self._begun: dict[int, float] = {}  # when each was, by number
        self._pauses: dict[int, float] = {}
        self._due: dict[int, float] = {}  # when those that have ended are to be made again
        self._told = False
        self._hearing, self._telling = os.pipe()
        self._imported_of: set[tuple[str, int]] | None = None

    def share(self) -> None:
        """Import what engines need, once for all."""
        self._imported_of = versions()
        gc.disable()  # a third of the time would go to looking through what stays
        for name in NEEDED:
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as error:
                if error.name != name.partition(".")[0]:
                    traceback.print_exc()
            except (Exception, SystemExit):  # noqa: BLE001 - an engine without it is of use too
                traceback.print_exc()
        gc.enable()
        gc.collect()
        gc.freeze()  # or each engine would look through all of it, and so copy it

    def look_after(self) -> None:
        """Make engines, and make those again that end, until told to end or drained."""
        for one in (self._hearing, self._telling):
            os.set_blocking(one, False)
        signal.set_wakeup_fd(self._telling, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._end)
        if IS_LINUX:  # what an engine leaves behind becomes ours: its nanny, which tells of its end
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._write()
        while not self._told:
            if self._drain.exists():
                if not self._running:
                    break  # what starts this again sees to it that nothing runs
            else:
                self._make_missing()
            self._wait(LOOK)
            self._notice_ends()
        self._stop()

    def _end(self, *_: object) -> None:
        self._told = True

    def _wait(self, seconds: float) -> None:
        """Wait until something has ended, or somebody tells us to end."""
        if select.select([self._hearing], [], [], seconds)[0]:
            os.read(self._hearing, 1 << 12)

    def _make_missing(self) -> None:
        with suppress(OSError, ValueError):
            self._wanted = int((self._folder / "number").read_text())
        there, now = set(self._running.values()), time.monotonic()
        missing = [
            number
            for number in range(1, self._wanted + 1)
            if number not in there and self._due.get(number, 0.0) <= now
        ]
        shared = bool(missing) and self._is_right()
        for number in missing:
            if not self._told:
                self._make(number, shared=shared)

    def _make(self, number: int, *, shared: bool) -> None:
        own = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # none is to be taken for ours in it
        self._begun[number] = time.monotonic()
        try:
            pid = os.fork()
        except OSError as error:
            self._ended(number, f"cannot be made: {error.strerror}")
        else:
            if pid == 0:
                self._become(number, own, shared=shared)
            self._running[pid] = number
            self._write()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _is_right(self) -> bool:
        """Return whether what was imported here is what a new Python would import, and may fork."""
        return (
            self._imported_of is not None
            and self._imported_of == versions()
            and len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - one of the others may hold a lock
        )

    def _become(self, number: int, parent: int, *, shared: bool) -> NoReturn:
        """Be an engine, in a process of its own."""
        status = 1
        try:
            self._leave(number, parent)
            words = [*self._arguments, f"--Session.session={identity(self._node, number)}"]
            if not shared:
                os.execv(sys.executable, [sys.executable, __file__, ONE, *words])  # noqa: S606
            show(f"engine-{number}", self._node)
            if "numpy.random" in sys.modules:
                sys.modules["numpy.random"].seed()  # or all would draw the same
            sys.argv[1:] = words
            status = run()
        except BaseException:  # noqa: BLE001 - this process must never do what its parent does
            traceback.print_exc()
        finally:
            os._exit(status)

    def _leave(self, number: int, parent: int) -> None:
        """Leave what is the parent's: its log, its signals, its group."""
        log = os.open(
            self._logs / f"engine-{number}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )
        for stream in (1, 2):
            os.dup2(log, stream)
        for one in (log, self._hearing, self._telling):
            os.close(one)
        signal.set_wakeup_fd(-1)
        for kind in SIGNALS:
            signal.signal(kind, signal.SIG_DFL)
        if IS_LINUX:
            os.setpgid(0, 0)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it had ended before
                os._exit(1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _notice_ends(self) -> bool:
        """Take note of what has ended; return whether there is anything that may end."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return True
                if pid in self._running:
                    kill(pid, signal.SIGKILL)  # what it has started holds its ports
                    number = self._running.pop(pid)
                    self._ended(number, f"process {pid} ended ({reason(status)})")
                    self._write()
        except ChildProcessError:
            return False

    def _ended(self, number: int, how: str) -> None:
        now = time.monotonic()
        pause = self._pauses.get(number, FIRST_PAUSE)
        if now - self._begun[number] >= LONG:
            pause = FIRST_PAUSE
        self._due[number] = now + pause
        self._pauses[number] = pause * 2 if pause < LAST_PAUSE / 2 else LAST_PAUSE
        say(f"engine {number}: {how}")

    def _write(self) -> None:
        """Say which run; once told to end, what is said stays: those that had to be told, too."""
        if self._told:
            return
        lines = [f"{number} {pid}\n" for pid, number in self._running.items()]
        new = self._folder / "running.new"
        try:
            new.write_text("".join(sorted(lines)))
            new.replace(self._folder / "running")
        except OSError as error:  # a full disk; the engines are of use all the same
            say(f"{error.filename}: {error.strerror}")

    def _stop(self) -> None:
        """Tell all to end, and see to it that they do, nannies last: they tell the controller."""
        for pid in self._running:
            kill(pid, signal.SIGTERM)
        end = time.monotonic() + STOPPING
        while self._notice_ends() and (left := end - time.monotonic()) > 0:
            self._wait(left)
        for pid in self._running:
            kill(pid, signal.SIGKILL)


def versions() -> set[tuple[str, int]] | None:
    """Return what changes when a package is installed, upgraded or taken away; None if it is being.

    That of the folders would change when Python writes down there what it has compiled.
    """
    found = set()
    try:
        for folder in map(Path, sys.path[1:]):  # the first is where people work
            if folder.is_dir():
                ours = [one for one in folder.iterdir() if one.suffix in _OF_PACKAGES]
                found |= {(str(one), one.stat().st_mtime_ns) for one in ours}
    except OSError:
        return None
    return found


def identity(node: str, number: int) -> str:
    """Return what an engine is known by; only what may be in a Python name, and "-"."""
    return f"{node}_{number}_{os.getpid()}-{time.time_ns() // 10**6}"


def kill(pid: int, number: int) -> None:
    """Send a signal to an engine, and to what it has started."""
    with suppress(ProcessLookupError, PermissionError):
        (os.killpg if IS_LINUX else os.kill)(pid, number)


def reason(status: int) -> str:
    """Say how a process has ended."""
    code = os.waitstatus_to_exitcode(status)
    return f"status {code}" if code >= 0 else f"signal {-code}"


def say(text: str) -> None:
    """Write a line in the log."""
    with suppress(OSError):
        sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
        sys.stderr.flush()


def show(name: str, node: str) -> None:
    """Write a name where others read the command line of this process, and its short name."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
    said = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    begin, end = map(int, said[45:47])
    text = f"{name} of {node}".encode()[: end - begin - 1]
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, text, len(text))


def be_engine() -> None:
    """Be an engine, of what the command line says."""
    from ipykernel import iostream
    from ipyparallel.engine import app

    if IS_LINUX:
        fork_nanny()
    app.Kernel = quiet(app.Kernel)
    iostream.OutStream = prompt(iostream.OutStream)  # type: ignore[misc]
    app.main()


def quiet(kernel: Any) -> Any:
    """Return a kernel that tells nobody that it is busy, and idle again, who does not want to know.

    Of each message of a search these would be half of what is published, which engine, controller
    and client handle each.
    """

    class Quiet(kernel):  # type: ignore[misc]  # ipykernel is not there for mypy
        def _publish_status(self, status: str, channel: str, parent: Any = None) -> None:
            about = parent or self.get_parent(channel)
            if not about.get("metadata", {}).get("spotcluster_quiet"):
                super()._publish_status(status, channel, parent)

    return Quiet


def prompt(stream: Any) -> Any:
    """Return a stream of what is printed that is flushed where something was.

    A kernel flushes two of them twice with each message, and waits each time until another thread
    has woken up and done so.
    """

    class Prompt(stream):  # type: ignore[misc]
        written = False

        def write(self, text: str) -> Any:
            length = super().write(text)
            self.written = True  # last, or another's flush meanwhile would take it for done
            return length

        def flush(self) -> None:
            if self.written:
                self.written = False  # what comes from now on may be too late for this one
                super().flush()

    return Prompt


def fork_nanny() -> None:
    """Make the process for which ipyparallel would start a Python, and have it take this one."""
    from ipyparallel.engine import nanny

    (told, telling), (heard, saying) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for number, (stream, other) in enumerate(((told, telling), (saying, heard))):
                os.close(other)
                os.dup2(stream, number)
                os.close(stream)
            sys.stdin = open(0, closefd=False)  # noqa: SIM115
            sys.stdout = open(1, "w", 1, closefd=False)  # noqa: SIM115
            nanny.main()
        finally:
            os._exit(0)  # what follows here is the engine's
    os.close(told)
    os.close(saying)
    made = SimpleNamespace(
        stdin=os.fdopen(telling, "wb"),
        stdout=os.fdopen(heard, "rb"),
        terminate=lambda: os.kill(pid, 15),
    )
    nanny.Popen = lambda *_, **__: made


def run() -> int:
    """Be the engine; return the status that Python would end with.

    It does not end as Python does: to free what it shares it would first have to copy it.
    """
    status = 0
    try:
        be_engine()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it ends with
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined] # it waits for them
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    return status & 0xFF


if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # noqa: PTH109 - as of `python -m ipyparallel.engine`
    if sys.argv[1] == ONE:
        del sys.argv[1]
        be_engine()
        sys.exit()
    engines = Engines(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
    if IS_LINUX:  # elsewhere a process that is only forked may not do everything
        engines.share()
    engines.look_after()
