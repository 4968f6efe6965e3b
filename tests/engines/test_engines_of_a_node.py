"""The program that the engines of a node are forked of, with a real controller."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ipyparallel
import programs
import psutil
import pytest

from spotcluster.node_layout import engine_place

from .conftest import ENGINES, LIMIT, Machines, until

NUMBERS = itertools.count(701)  # of nodes


class Node:
    """A node whose engines this program looks after."""

    def __init__(self, machines: Machines, folder: Path, number: int) -> None:
        self.client = machines.client
        self.name = f"node{next(NUMBERS)}"
        self.folder = folder
        self.drain = folder / "drain"
        (folder / "number").write_text(str(number))
        self.program: Any = None

    def running(self) -> dict[int, int]:
        """Return the processes of the engines that it says to run, by number."""
        lines = (self.folder / "running").read_text().splitlines()
        return {int(number): int(pid) for number, pid in map(str.split, lines)}

    def registered(self) -> dict[int, str]:
        """Return the ids of its engines, with what they are known by."""
        known = dict(self.client._engines)
        return {i: who for i, who in known.items() if who.startswith(f"{self.name}_")}

    def numbers(self) -> list[int]:
        places = [engine_place(who) for who in self.registered().values()]
        return sorted(place[1] for place in places if place)

    def wait_for(self, *numbers: int) -> None:
        until(lambda: self.numbers() == list(numbers), f"engines {numbers} to be registered")

    def ask(self, what: Callable[[], Any]) -> dict[int, Any]:
        """Return what each engine says, by number."""
        told = {i: self.client[i].apply_async(what) for i in self.registered()}
        said = {i: one.get(LIMIT) for i, one in told.items()}
        return {
            place[1]: said[i]
            for i, who in self.registered().items()
            if (place := engine_place(who))
        }

    def log(self, name: str = "engines") -> str:
        return (self.folder / f"{name}.log").read_text()


@contextmanager
def started(
    machines: Machines, folder: Path, number: int, *, alone: bool = False, **environment: str
) -> Iterator[Node]:
    """Give a node with so many engines; the program is forked, or starts `alone`."""
    node = Node(machines, folder, number)
    given: dict[str, Any] = {
        "cwd": folder,
        "env": {
            **machines.environment(),
            "HOME": str(folder),
            "SPOTCLUSTER_NODE": node.name,
            "SPOTCLUSTER_DRAIN_FLAG": str(node.drain),
            **environment,
        },
        "start_new_session": True,
    }
    command = [sys.executable, str(ENGINES), str(folder), str(folder)]
    command += [f"--file={machines.engine_file}", f"--ipython-dir={machines.ipython}"]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "engines.log").open("ab"))
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        if alone:
            node.program = subprocess.Popen([*command, f"--timeout={LIMIT}"], **streams, **given)
        else:
            streams["stdin"] = stack.enter_context(Path(os.devnull).open("rb"))
            node.program = programs.Program(
                [*command, f"--timeout={LIMIT}"], **streams, **given, maker=machines.maker
            )
        try:
            node.wait_for(*range(1, number + 1))
            yield node
        finally:
            if node.program.poll() is None:
                node.program.send_signal(signal.SIGTERM)
            node.program.wait(LIMIT)
            until(lambda: not node.registered(), "its engines to be gone")


@pytest.fixture(scope="module")
def shared(controller: Machines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Two engines, for all tests that leave two there."""
    with started(controller, tmp_path_factory.mktemp("node"), 2) as node:
        yield node


@pytest.fixture
def node(shared: Node) -> Node:
    shared.wait_for(1, 2)
    return shared


@ipyparallel.interactive  # type: ignore[untyped-decorator]
def drawn() -> list[Any]:
    """Return what two processes must not have in common."""
    import random
    import tempfile
    import uuid
    from pathlib import Path

    import numpy as np

    name = Path(tempfile.mktemp()).name  # only its name is looked at
    numpys = [float(np.random.rand()), float(np.random.default_rng().random())]
    return [random.random(), *numpys, name, str(uuid.uuid1()), str(uuid.uuid4())]


def test_engines_draw_other_random_numbers_than_one_another(node: Node) -> None:
    first, second = node.ask(drawn).values()
    assert all(one != other for one, other in zip(first, second, strict=True))


@ipyparallel.interactive  # type: ignore[untyped-decorator]
def place() -> tuple[int, int, int, str]:
    import os
    import sys

    return os.getpid(), os.getpgrp(), os.getppid(), sys.argv[-1]


def test_each_engine_has_its_name_its_log_and_a_group_of_its_own(node: Node) -> None:
    said = node.ask(place)
    assert {number: pid for number, (pid, *_) in said.items()} == node.running()
    for number, (pid, group, parent, last) in said.items():
        assert (group, parent) == (pid, node.program.pid)
        assert last.startswith(f"--Session.session={node.name}_{number}_")
        own = psutil.Process(pid)
        assert own.name() == f"engine-{number}"
        assert " ".join(own.cmdline()).strip() == f"engine-{number} of {node.name}"
        assert f"pid={pid}" in node.log(f"engine-{number}")


def test_engine_that_is_killed_is_made_again_and_the_others_work_on(
    node: Node, tmp_path: Path
) -> None:
    before = node.running()
    gate = tmp_path / "gate"
    other = next(i for i, who in node.registered().items() if engine_place(who) == (node.name, 2))
    working = node.client[other].apply_async(waiting, str(gate))
    until(lambda: gate.with_suffix(".begun").exists(), "the other engine to work")
    left = node.client[min(set(node.registered()) - {other})].apply_sync(leave_child)
    os.kill(before[1], signal.SIGKILL)
    until(lambda: node.running().get(1) not in (None, before[1]), "another process")
    node.wait_for(1, 2)
    until(lambda: not programs.runs(left), "what it has started to be gone")
    gate.touch()
    assert working.get(LIMIT) == before[2]
    assert node.running()[2] == before[2]
    assert f"engine 1: process {before[1]} ended (signal 9)" in node.log()


@ipyparallel.interactive  # type: ignore[untyped-decorator]
def waiting(gate: str) -> int:
    import os
    import time
    from pathlib import Path

    Path(gate).with_suffix(".begun").touch()
    while not Path(gate).exists():
        time.sleep(0.02)
    return os.getpid()


@ipyparallel.interactive  # type: ignore[untyped-decorator]
def leave_child() -> int:
    import subprocess

    return subprocess.Popen(["sleep", "600"]).pid


def test_engines_that_are_to_be_more_come_and_the_others_stay(
    controller: Machines, tmp_path: Path
) -> None:
    with started(controller, tmp_path, 1) as node:
        before = node.running()
        (tmp_path / "new").write_text("2")
        (tmp_path / "new").replace(tmp_path / "number")
        node.wait_for(1, 2)
        assert node.running()[1] == before[1]


def test_engines_end_with_what_they_are_forked_of_and_none_stays_registered(
    controller: Machines, tmp_path: Path
) -> None:
    with started(controller, tmp_path, 2) as node:
        engines = node.running().values()
        node.program.kill()
        until(lambda: not any(map(programs.runs, engines)), "the engines to be gone")
        until(lambda: not node.registered(), "the controller to know")
        node.program.wait(LIMIT)
    with started(controller, tmp_path, 2) as node:
        assert not set(node.running().values()) & set(engines)


def test_engines_are_told_to_end_and_those_that_had_to_be_stay_written_down(
    controller: Machines, tmp_path: Path
) -> None:
    with started(controller, tmp_path, 2) as node:
        engines = node.running()
        node.program.send_signal(signal.SIGTERM)
        assert node.program.wait(LIMIT) == 0
        assert not any(map(programs.runs, engines.values()))
        assert node.running() == engines


def test_drained_engine_stays_ended_and_comes_back_when_its_node_stays_after_all(
    controller: Machines, tmp_path: Path
) -> None:
    with started(controller, tmp_path, 2) as node:
        node.drain.touch()
        first = min(node.registered())
        node.client.shutdown(targets=[first], block=False)
        until(lambda: len(node.running()) == 1, "one to have ended")
        node.drain.unlink()
        node.wait_for(1, 2)
        node.drain.touch()
        node.client.shutdown(targets=list(node.registered()), block=False)
        assert node.program.wait(LIMIT) == 0
        assert node.running() == {}


@ipyparallel.interactive  # type: ignore[untyped-decorator]
def version() -> Any:
    from pathlib import Path

    import joblib

    return joblib.NUMBER, Path("/proc/self/comm").read_text().strip()


def test_engine_that_is_made_after_an_upgrade_has_what_there_is_then(
    controller: Machines, tmp_path: Path
) -> None:
    """And what cannot be imported keeps no engine from coming: scikit-learn wants a joblib."""
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "joblib.py").write_text("NUMBER = 1\n")
    with started(controller, tmp_path, 2, alone=True, PYTHONPATH=str(packages)) as node:
        assert node.ask(version) == {1: (1, "engine-1"), 2: (1, "engine-2")}
        assert "AttributeError: module 'joblib'" in node.log()
        (packages / "new.py").write_text("NUMBER = 12\n")
        (packages / "new.py").replace(packages / "joblib.py")
        former = node.running()[1]
        os.kill(former, signal.SIGKILL)
        its = f"{node.name}_1_{former}-"  # it is there again before a slow test has looked
        until(
            lambda: not any(who.startswith(its) for who in node.registered().values()),
            "its end to be noticed",
        )
        node.wait_for(1, 2)
        said = node.ask(version)
        assert said[1][0] == 12
        assert said[1][1] != "engine-1"  # it has begun by itself
        assert said[2] == (1, "engine-2")
