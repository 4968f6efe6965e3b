"""EC2 and the nodes for a terminal that is a process of its own, and may be killed at any call.

The API is the local cloud's, on a thread of the test; its instances run as soon as they are made.
A terminal is a process that runs the program's own entry point. Its SSH is a stub that asks
the test over the same HTTP server, so that calls and remote steps are one sequence, which the
test can hold, fail, or end the terminal at, all from outside.
"""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import re
import socket
import stat
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from moto.core.model_instances import reset_model_data
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ssm.models import ssm_backends
from werkzeug.wrappers import Response

from spotcluster import ssh
from spotcluster.aws import blocks, keypairs
from spotcluster.aws.session import Session
from spotcluster.local.access.callers import Credentials
from spotcluster.local.application import Application
from spotcluster.local.cloud import Cloud
from spotcluster.local.moto_private import parameters_of

from .machines import Machines
from .serving import Server
from .terminals import Change, Done, Terminal

CREDENTIALS = Credentials("AKIATESTTESTTESTTEST", "secret")
REGION = "us-east-1"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Past the proxies that the environment names."""
CONFIG = """
[key mykey]
KEY_LOCATION = {key}

[cluster bare]
KEYNAME = mykey
REGION = us-east-1
NODE_INSTANCE_TYPE = c5.large
CLUSTER_SIZE = 2
SPOT_BID = 0.5
ALLOW = 203.0.113.7/32
LAUNCH_TIMEOUT = 120
SSH_TIMEOUT = 120
SETUP_TIMEOUT = 240
PLUGINS = ipcluster

[cluster steady]
KEYNAME = mykey
REGION = us-east-1
NODE_INSTANCE_TYPE = c5.large
CLUSTER_SIZE = 2
ALLOW = 203.0.113.7/32
PLUGINS = ipcluster

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
"""
"""`bare` has spot workers, `steady` has workers on demand; limits are for who tests them."""


@dataclass(frozen=True)
class Saved:
    """EC2, the disks of its machines, and what the terminals' computer keeps for clusters."""

    cloud: bytes
    machines: dict[str, dict[str, str]]
    disks: dict[str, str]
    own: dict[Path, bytes]


class _Unwritten(Cloud):
    """A cloud that writes no state after each call: nobody here reads it from a file."""

    def save(self) -> None:
        pass


class World:
    """EC2 and its machines, and terminals before them."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home
        self.machines = Machines()
        self.calls: list[str] = []
        self._changes: list[Change] = []
        self.on_call: Callable[[int, str, Callable[[], Response]], Response] | None = None
        self.denied: Callable[[str], bool] = lambda action: False
        self._lock = threading.Lock()
        self._number = 0
        self.frozen: set[str] = set()
        self._new_cloud()
        self._server = Server(self._answer)
        self.url = self._server.url

    # The server.

    def _new_cloud(self) -> None:
        for one in ssm_backends[DEFAULT_ACCOUNT_ID].values():  # which moto has once a process
            parameters_of(one).clear()
        reset_model_data()  # moto keeps all that there ever was
        self.cloud: Cloud = _Unwritten(self.folder / "cloud")
        self._application = Application(self.cloud, CREDENTIALS, changed=self.settle)

    def start(self) -> None:
        """Listen."""
        self._server.start()

    def stop(self) -> None:
        """Listen no more."""
        self._server.stop()

    def settle(self) -> None:
        """Let instances be what they are to be, but for those that are `frozen` (by alias)."""
        with self.cloud.lock:
            own = self._tags()
            for one in self.cloud.instances():
                alias = own[one.id].get("spotcluster:alias")
                if one.state == "pending" and alias not in self.frozen:
                    one.has_booted(22)
                elif one.state == "shutting-down":
                    one.has_ended("the console's last line")
                elif one.state == "stopping":
                    one.has_stopped()

    def _tags(self) -> dict[str, dict[str, str]]:
        """Return each instance's tags, with its own name where those of a launch share theirs."""
        found = {one.id: one.ec2_backend.tags.get(one.id, {}) for one in self.cloud.instances()}
        return found | {one: own for one, (own, _) in blocks.resolve(found).items()}

    def _answer(self, environ: dict[str, Any]) -> Response:
        if environ["PATH_INFO"] == "/idle":
            return Response(headers={"Connection": "close"})
        body = environ["wsgi.input"].getvalue()
        if environ["PATH_INFO"] == "/remote":
            asked = json.loads(body)
            name = f"{asked['alias']}: {asked['what']}"

            def do() -> Response:
                return Response(json.dumps(self.machines.answer(asked)))

        else:
            name = _action(environ, body)

            def do() -> Response:
                environ["wsgi.input"] = io.BytesIO(body)
                return Response.from_app(self._application, environ, buffered=True)

        with self._lock:
            self._number += 1
            number = self._number
            self.calls.append(name)
        return self.on_call(number, name, do) if self.on_call else do()

    def wait_until_idle(self) -> None:
        """Wait until every request that terminals sent before they ended has taken effect."""
        # What was sent may not even be accepted. Connections are accepted in their order, so that
        # when we are answered all of theirs are; each is closed when all of it is done.
        with _DIRECT.open(f"{self.url}/idle", timeout=60):
            pass
        server = self._server
        with server.changed:
            # Tests call EC2 too, and keep their connections open.
            idle = server.changed.wait_for(lambda: not server.connected - _own_connections(), 60)
        assert idle, "a request of a terminal that has ended goes on"

    def under_way(self) -> int:
        """Return how many requests have come and are not answered."""
        return self._server.requests

    def begin(self) -> None:
        """Count calls from 1 again."""
        with self._lock:
            self._number = 0
            self.calls = []

    # What there is.

    def save(self) -> Saved:
        """Return the state of everything."""
        with self.cloud.lock:
            state = pickle.dumps(self.cloud.state(), protocol=pickle.HIGHEST_PROTOCOL)
        own = {path: path.read_bytes() for path in self.own_files()}
        machines = copy.deepcopy(self.machines.files)
        return Saved(state, machines, dict(self.machines.disks), own)

    def restore(self, saved: Saved) -> None:
        """Make everything as it was."""
        self._new_cloud()
        self.cloud.take_up(pickle.loads(saved.cloud))
        self.machines.files = copy.deepcopy(saved.machines)
        self.machines.disks = dict(saved.disks)
        for path in self.own_files():
            path.unlink()
        for path, content in saved.own.items():
            path.touch(mode=0o600)
            path.write_bytes(content)

    def own_files(self) -> list[Path]:
        """Return the files that the terminals' computer keeps for clusters."""
        folders = (self.home / "known_hosts", self.home / "connections")
        return sorted(one for folder in folders for one in folder.rglob("*") if one.is_file())

    def instances(self, cluster: str = "mycluster") -> dict[str, list[Any]]:
        """Return the instances of a cluster that are not terminated, by alias."""
        found: dict[str, list[Any]] = {}
        with self.cloud.lock:
            tags = self._tags()
            for one in self.cloud.instances():
                own = tags[one.id]
                if one.is_live and own.get("spotcluster:cluster") == cluster:
                    found.setdefault(own["spotcluster:alias"], []).append(one)
        return dict(sorted(found.items()))

    def ready(self, cluster: str = "mycluster") -> list[str]:
        """Return the aliases of the nodes that have been set up."""
        return [
            alias
            for alias, found in self.instances(cluster).items()
            for one in found
            if one.ec2_backend.tags[one.id].get("spotcluster:state") == "ready"
        ]

    def group_tags(self) -> dict[str, str]:
        """Return the tags of the cluster's group."""
        with self.cloud.lock:
            backend = self.cloud.backend("123456789012", REGION)
            for groups in backend.groups.values():
                for group in groups.values():
                    if group.name.startswith("spotcluster-"):
                        return dict(backend.tags.get(group.id, {}))
        return {}

    def group_rules(self) -> int:
        """Return how many rules the clusters' groups have."""
        with self.cloud.lock:
            backend = self.cloud.backend("123456789012", REGION)
            return sum(
                len(group.ingress_rules)
                for groups in backend.groups.values()
                for group in groups.values()
                if group.name.startswith("spotcluster-")
            )

    def images(self) -> dict[str, set[str]]:
        """Return the images that were made and may be booted, with their snapshots, by name."""
        with self.cloud.lock:
            backend = self.cloud.backend("123456789012", REGION)
            return {
                f"{own['spotcluster:image']}:{own['spotcluster:version']}": {
                    one.id,
                    *(snapshot.id for snapshot in one.snapshots.values()),
                }
                for one in backend.amis.values()
                if "spotcluster:version" in (own := backend.tags.get(one.id, {}))
            }

    def left(self) -> list[str]:
        """Return everything that was made in EC2 and is still there, whatever its tags.

        But for images that are complete: those outlive clusters.
        """
        kept = {one for found in self.images().values() for one in found}
        with self.cloud.lock:
            backend = self.cloud.backend("123456789012", REGION)
            live = [one.id for one in self.cloud.instances() if one.is_live]
            groups = [
                group.name
                for groups in backend.groups.values()
                for group in groups.values()
                if group.name != "default"
            ]
            requests = [
                one.id
                for one in backend.spot_instance_requests.values()
                if one.state in ("open", "active")
            ]
            return [
                *live,
                *groups,
                *requests,
                *backend.volumes,
                *backend.enis,
                *(
                    one.id
                    for one in backend.amis.values()
                    if one.owner_id == backend.account_id and one.id not in kept
                ),
                *(
                    one.id
                    for one in backend.snapshots.values()
                    if one.owner_id == backend.account_id and one.id not in kept
                ),
                *backend.launch_templates,
                *(one.id for one in backend.fleets.values() if one.state == "active"),
                *getattr(backend, "placement_groups", {}),
                *(name for name in backend.key_pairs if name != "mykey"),
            ]

    # Terminals.

    def terminal(self, *words: str) -> Terminal:
        """Run the program with `words` in a process of its own."""
        return Terminal(self.folder, self.url, self._changes, words)

    def change(self, function: Callable[..., None], *given: Any) -> None:
        """Have a function called in each terminal from now on, before the program is run.

        Parameters
        ----------
        function : callable
            One that a module has by name, and that is quick to import.
        *given
            What it is called with.
        """
        self._changes.append((function, given))

    def run(self, *words: str, status: int = 0, timeout: float = 240.0) -> Done:
        """Run the program to its end, which must be `status`."""
        done = self.terminal(*words).wait(timeout)
        assert done.status == status, f"{words}: {done.status}\n{done.out}\n{done.err}"
        assert "Traceback" not in done.err, done.err
        return done


def set_limit(home: Path, name: str, seconds: int) -> None:
    """Let the one setting of that name in the config be so many seconds."""
    path = home / "config"
    text, number = re.subn(rf"{name} = \d+", f"{name} = {seconds}", path.read_text())
    assert number == 1
    path.write_text(text)


def _own_connections() -> set[tuple[str, int]]:
    """Return our ends of connections: tests call EC2 too, and keep theirs open."""
    # The kernel's table is of all connections of this computer, and gets long while tests run.
    found: set[tuple[str, int]] = set()
    for descriptor in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        with suppress(OSError):  # the one that has listed them
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                with socket.socket(fileno=os.dup(descriptor)) as one:
                    if one.family == socket.AF_INET:
                        found.add(one.getsockname())
    return found


def _action(environ: dict[str, Any], body: bytes) -> str:
    target = str(environ.get("HTTP_X_AMZ_TARGET") or "")
    if target:
        return target.rpartition(".")[2]
    return dict(parse_qsl(body.decode(errors="replace"))).get("Action", environ["PATH_INFO"])


@contextmanager
def running(folder: Path, home: Path) -> Iterator[World]:
    """Run a world whose key pair and config are in `home`; the environment must name both."""
    world = World(folder, home)
    (folder / "cloud").mkdir()
    world.start()
    try:
        os.environ["AWS_ENDPOINT_URL"] = world.url
        pair = ssh.keys.generate()
        key = home / "mykey.pem"
        key.touch(mode=0o600)
        key.write_text(pair.private)
        (home / "config").write_text(CONFIG.format(key=key))
        keypairs.upload(Session(REGION), "mykey", pair.public)
        yield world
    finally:
        world.stop()
