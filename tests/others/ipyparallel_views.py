"""A pytest plugin: ipyparallel's own tests of clients and views, with clients of `connect`.

They come with the installed ipyparallel, so they are those of the version that is locked. Where
they start a controller and engines of their own, there is a cluster on the local cloud; where they
make a client of theirs, it is one of `spotcluster.connect`. What cannot apply is in
``ipyparallel_differences.txt``, each line with its reason, and may fail.

    PYTHONPATH=tests:tests/others pytest -c tests/others/pytest.ini -p ipyparallel_views \\
        --pyargs ipyparallel.tests.test_view
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import botocores
import differences
import ipyparallel
import packages
import pytest
from clouds import running_local_cloud
from commands import cli, wait_until
from ipyparallel import AsyncResult
from ipyparallel import tests as theirs
from ipyparallel.client import client as client_module

import spotcluster
from spotcluster import clients, config
from spotcluster.cluster import lookup
from spotcluster.node_layout import ENGINES as OF_NODE
from spotcluster.plugins import supervisor
from spotcluster.plugins.base import Node

NAME = "iptest"
PATIENCE = 60  # seconds
LIMIT = 240  # for a whole test of theirs
COMING = 200  # for engines that were killed: their absence is said before that of an end
ENGINES = 4  # most of them want so many; those that want more add some
CONFIG = """
[key mykey]

[plugin ipcluster]
SETUP_CLASS = starcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = {engines}

[plugin pypackages]
setup_class = starcluster.plugins.pypkginstaller.PyPkgInstaller
packages = numpy, pandas, matplotlib, decorator, pytest, distributed

[cluster iptemplate]
KEYNAME = mykey
REGION = local
NODE_IMAGE_ID = ami-5b3fb632
NODE_INSTANCE_TYPE = c1.xlarge
PLUGINS = pypackages, ipcluster
"""


class Engine:
    """What their tests hold of an engine that they have started."""

    def poll(self) -> None:
        return None


class OurCluster:
    """The cluster, which is made when the first test wants it."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.number = 0

    def start(self) -> None:
        if not self.number:
            home = Path(os.environ["SPOTCLUSTER_HOME"])
            packages.link(home)
            (home / "config").write_text(CONFIG.format(engines=ENGINES))
            self.stack.enter_context(running_local_cloud(home))
            cli("createkey", "mykey")
            cli("start", "-c", "iptemplate", "-s", "1", NAME)
            self.number = ENGINES

    def stop_added(self) -> None:
        """Give the next file the engines that the first one has found."""
        if self.number != ENGINES:
            self.service().stop("engines")
            self.number = 0
            self.wait_for(0)
            self.run_engines(ENGINES)

    def master(self) -> Node:
        return lookup.locate(config.load_if_there(None), NAME, None).master

    def service(self) -> supervisor.Supervisor:
        return supervisor.of(self.master())

    def run_engines(self, number: int) -> None:
        self.master().account.put(str(number).encode(), f"{OF_NODE}/number")
        self.service().start("engines")
        self.number = number
        self.wait_for(number)

    def wait_for(self, number: int) -> None:
        client = spotcluster.connect(NAME)
        try:
            wait_until(f"{number} engines", lambda: len(client.ids) == number)
            if number:  # as theirs are started
                client[:].execute("get_ipython().colors = 'nocolor'", block=True)
        finally:
            client.close()


OURS = OurCluster()


def add_engines(n: int = 1, profile: str = NAME, total: bool = False) -> list[Engine]:
    """Do as theirs does."""
    wanted = max(n, OURS.number) if total else OURS.number + n
    added = wanted - OURS.number
    if added:
        OURS.run_engines(wanted)
    return [Engine() for _ in range(added)]


class Kind(type(clients.Client)):  # type: ignore[misc]  # ipyparallel has no types
    """Makes a class whose objects are all clients, and of which a new one is `connect`'s."""

    def __instancecheck__(cls, thing: object) -> bool:
        return isinstance(thing, clients.Client)

    def __call__(cls, *args: Any, **settings: Any) -> Any:
        return cls.__new__(cls)  # which a test of theirs replaces


class Client(clients.Client, metaclass=Kind):
    """In the place of ipyparallel's."""

    def __new__(cls) -> Any:
        made = spotcluster.connect(NAME)
        # Those that a test has killed come back, which takes the longer the more often they were.
        try:
            wait_until("engines", lambda: len(made.ids) >= OURS.number, COMING)
        except AssertionError as error:
            again = spotcluster.connect(NAME)
            said = f"{OURS.number} engines; it knows {made.ids}, a new client {again.ids}"
            again.close()
            made.close()
            raise AssertionError(f"{error}: {said}") from error
        return made


def patient(wait: Any) -> Any:
    """Return a method that waits for a minute where a test of theirs wants seconds."""

    @functools.wraps(wait)
    def waits(self: Any, timeout: float | None = None, *args: Any, **more: Any) -> Any:
        if timeout is not None and timeout >= 5:
            timeout = max(timeout, PATIENCE)
        return wait(self, timeout, *args, **more)

    return waits


def pytest_configure(config: pytest.Config) -> None:
    """Take the places of what their tests import, before they do."""
    home = tempfile.mkdtemp(prefix="sc-")
    OURS.stack.callback(shutil.rmtree, home, ignore_errors=True)
    # For good: a fixture of theirs restores what it found.
    os.environ.update(SPOTCLUSTER_HOME=home, IPP_ENABLE_CURVE="1")
    botocores.share()  # each of the tests makes a client, and with it one of EC2's
    theirs.setup, theirs.teardown, theirs.add_engines = OURS.start, OURS.stop_added, add_engines
    ipyparallel.Client = client_module.Client = Client
    from ipyparallel.tests import clienttest

    # On a machine that does other things too, their five to thirty seconds may pass.
    clienttest.ClusterTestCase.test_timeout = LIMIT
    clienttest.ClusterTestCase.timeout = PATIENCE
    for name in ("get", "wait_for_output"):
        setattr(AsyncResult, name, patient(getattr(AsyncResult, name)))


def pytest_unconfigure(config: pytest.Config) -> None:
    OURS.stack.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    differences.mark(items, "ipyparallel_differences.txt", parts=2)
