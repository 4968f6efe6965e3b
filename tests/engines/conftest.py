"""A real ipyparallel controller, and engines on hosts that differ by their name and home."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import ipyparallel
import numpy as np
import programs
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from spotcluster.search import persist_cv_splits
from spotcluster.search.data.evaluations import Retry
from spotcluster.search.dispatch.dispatcher import Dispatcher

# Of the seed, but for those that fit slowly and score badly: tests/life has them all.
GRID = {"C": np.logspace(-1, 2, 4), "gamma": np.logspace(-4, 0, 5)[:2]}
IRIS_GRID = {"C": [0.01, 0.1, 1.0, 10.0], "gamma": [0.001, 0.01, 0.1]}
ENGINES = Path(__file__).parents[2] / "templates" / "engines.py"
LIMIT = 120.0  # seconds after which a test hangs; a machine that does other things is slow
ALONE = 0.6  # a pace at which each evaluation has a message of its own


def until(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """Wait until `condition` holds, and give what it returned."""
    end = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {limit:.0f} s"
        time.sleep(0.02)
    return value


class Machines:
    """Engines on pretended hosts: each has its own name and home, all have this machine."""

    client_class = ipyparallel.Client
    controller_program = ("-m", "ipyparallel.controller")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ipython = folder / "ipython"
        self.ipython.mkdir()
        self.engines: list[programs.Program] = []
        self.maker = programs.Maker("engine", env=self.environment())
        security = self.ipython / "profile_default" / "security"
        self.controller = self.start_controller()
        self.engine_file = security / "ipcontroller-engine.json"
        self.client_file = security / "ipcontroller-client.json"
        until(
            lambda: self.client_file.exists() and self.engine_file.exists(),
            "the controller's files",
        )
        self.client = self.client_class(str(self.client_file), timeout=LIMIT)

    def start_controller(self) -> subprocess.Popen[bytes]:
        return self._start(
            *(*self.controller_program, "--ip=127.0.0.1", f"--ipython-dir={self.ipython}"),
            # Of those that end their nannies tell; one that is only slow must not seem dead.
            *("--HeartMonitor.period=1000", "--HeartMonitor.max_heartmonitor_misses=10"),
            *("--TaskScheduler.hwm=1", "--reuse", "--restore"),
        )

    def restart_controller(self) -> None:
        """Kill the controller and all its processes, and start it again under the engines."""
        os.killpg(self.controller.pid, signal.SIGKILL)
        self.controller.wait(10)
        self.controller = self.start_controller()

    def home(self, node: str) -> Path:
        return self.folder / node

    def drain_flag(self, node: str) -> Path:
        return self.home(node) / ".spotcluster" / "drain"

    def store(self, node: str) -> Path:
        return self.home(node) / ".spotcluster" / "splits"

    def start(self, node: str, n: int = 1, **environment: str) -> list[int]:
        """Start engines on a host; give their ids when they have registered."""
        before = set(self.client.ids)
        self.home(node).mkdir(exist_ok=True)
        for _ in range(n):
            self._start_engine(HOME=str(self.home(node)), SPOTCLUSTER_NODE=node, **environment)
        until(lambda: len(set(self.client.ids) - before) == n, f"{n} engines on {node}")
        return sorted(set(self.client.ids) - before)

    def warm(self) -> None:
        """Have all engines do the imports of evaluations, which take seconds on each."""
        self.client[:].execute("import joblib, sklearn.metrics, sklearn.svm", block=True)

    def stop_engines(self, but: int = 0) -> None:
        """Kill all engines but the first ones."""
        others = self.engines[but:]
        del self.engines[but:]
        for process in others:
            process.kill()
        for process in others:
            process.wait(10)
        until(lambda: len(self.client.ids) <= but, "engines gone")

    def clear(self, *but: str) -> None:
        """Take away what is on the hosts, but for some of them: another test has left it there."""
        for home in self.folder.glob("node*"):
            if home.name not in but:
                home.unlink() if home.is_symlink() else shutil.rmtree(home)

    def close(self) -> None:
        self.stop_engines()
        self.client.close()
        self.controller.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.controller.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.controller.pid, signal.SIGKILL)
        self.maker.close()

    def environment(self) -> dict[str, str]:
        """Return what nodes have in theirs."""
        kept = {key: value for key, value in os.environ.items() if "SPOTCLUSTER" not in key}
        return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

    def _start_engine(self, **environment: str) -> None:
        command = [sys.executable, str(ENGINES), "one", f"--file={self.engine_file}"]
        with (self.folder / "log").open("ab") as log, Path(os.devnull).open("rb") as nowhere:
            process = programs.Program(
                [*command, f"--ipython-dir={self.ipython}", f"--timeout={LIMIT}"],
                cwd=self.folder,  # not where spotcluster could be imported from
                env={**self.environment(), **environment},
                stdin=nowhere,
                stdout=log,
                stderr=log,
                start_new_session=True,
                maker=self.maker,
            )
        self.engines.append(process)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


class Gated(SVC):
    """Each engine fits one, and waits with the next until the gate is open."""

    def __init__(
        self,
        *,
        C: float = 1.0,
        kernel: str = "rbf",
        gamma: Any = "scale",
        gate: str = "",
    ) -> None:
        super().__init__(C=C, kernel=kernel, gamma=gamma)
        self.gate = gate

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Gated:
        mine, gate = Path(self.gate) / str(os.getpid()), Path(self.gate) / "open"
        end = time.monotonic() + 250
        while mine.exists() and not gate.exists() and time.monotonic() < end:
            time.sleep(0.02)
        mine.touch()
        super().fit(X, y, sample_weight)
        return self

    def open(self) -> None:
        """Let all go on."""
        (Path(self.gate) / "open").touch()


def undelayed(search: Any) -> list[Retry]:
    """Return what was sent again, but for what another engine has tried since one was slow.

    That is no sign of anything wrong, and on a machine that has other things to do it happens.
    """
    return [retry for retry in search.retried if "was slow" not in retry.reason]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Have the fits in this process done as engines do theirs.

    Threads that wait for one another keep cores busy that engines could use.
    """
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def controller() -> Iterator[Machines]:
    folder = Path(tempfile.mkdtemp(prefix="sce-"))
    machines = Machines(folder)
    yield machines
    machines.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def machines(controller: Machines) -> Iterator[Machines]:
    """No engines yet."""
    controller.clear()
    yield controller
    end_searches()
    controller.stop_engines()


@pytest.fixture(scope="module")
def two_engines(controller: Machines) -> Iterator[Machines]:
    """Two engines on node001, for all tests of a module that let them live."""
    controller.clear()
    controller.start("node001", 2)
    yield controller
    controller.stop_engines()


@pytest.fixture
def pair(two_engines: Machines) -> Iterator[Machines]:
    """Two engines on node001."""
    yield two_engines
    end_searches()
    two_engines.stop_engines(but=2)
    two_engines.clear("node001")


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Gated]:
    """A model with whose fits engines wait for one another, and for the test."""
    folder = tmp_path / "gate"
    folder.mkdir()
    module = sys.modules[__name__]  # which engines cannot import
    cloudpickle.register_pickle_by_value(module)
    model = Gated(gate=str(folder))
    yield model
    model.open()
    cloudpickle.unregister_pickle_by_value(module)


def end_searches() -> None:
    """Stop the searches of a test that failed."""
    for thread in threading.enumerate():
        if isinstance(thread, Dispatcher):
            thread.stop()
            thread.join(10)


@pytest.fixture
def digits(tmp_path: Path) -> list[str]:
    """The split files of the seed."""
    X, y = load_digits(return_X_y=True)
    return persist_cv_splits(X, y, name="digits", random_state=42, folder=tmp_path)


@pytest.fixture
def unshared(iris: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files of `iris` by names under which engines do not see them."""
    if not Path("/proc/self/cwd").exists():
        pytest.skip("needs Linux: a path that each process resolves for itself")
    monkeypatch.chdir(tmp_path)  # engines are elsewhere
    return [f"/proc/self/cwd/{Path(name).name}" for name in iris]


@pytest.fixture
def iris(tmp_path: Path) -> list[str]:
    """Small split files."""
    from sklearn.datasets import load_iris

    X, y = load_iris(return_X_y=True)
    return persist_cv_splits(X, y, n_cv_iter=3, name="iris", random_state=0, folder=tmp_path)


@pytest.fixture
def bound(tmp_path: Path) -> Path:
    """The file up to whose number those of `numbered.Bounded` go on."""
    path = tmp_path / "bound"
    path.write_text("4")
    return path


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried soon."""
    monkeypatch.setattr("spotcluster.search.dispatch.roster.RETRY", 0.3)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """The results to which a disturbed search must come."""
    X, y = load_iris(return_X_y=True)
    cv = ShuffleSplit(3, test_size=0.25, random_state=0)  # as in the fixture iris
    peer = GridSearchCV(SVC(), IRIS_GRID, cv=cv, return_train_score=True).fit(X, y)
    return dict(peer.cv_results_)
