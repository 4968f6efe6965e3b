"""EC2 and the nodes for a terminal that is a process of its own, and may be killed at any call.

The API is the local cloud's, on a thread of the test; its instances run as soon as they are made.
A terminal is a forked process that runs the program's own entry point. Its SSH is a stub that asks
the test over the same HTTP server, so that calls and remote steps are one sequence, which the
test can hold, fail, or end the terminal at, all from outside.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import re
import shlex
import signal
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import psutil
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from spotcluster import ssh
from spotcluster.aws import keypairs
from spotcluster.aws.session import Session
from spotcluster.errors import ConnectionFailed, RemoteCommandFailed
from spotcluster.local.access import Credentials
from spotcluster.local.application import Application
from spotcluster.local.cloud import Cloud

CREDENTIALS = Credentials("AKIATESTTESTTESTTEST", "secret")
REGION = "us-east-1"
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
VITALS = """\
cores=4
load=1.50 1.00 0.50
memory_total_kb=8388608
memory_free_kb=6291456
clock={clock}
draining={draining}
"""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_READING = ("Describe", "Get", "List")


@dataclass
class Machines:
    """What the stubs of the nodes' machines keep and answer; `disks` is what is on volumes."""

    files: dict[str, dict[str, str]] = field(default_factory=dict)
    steps: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Callable[[dict[str, Any]], dict[str, Any] | None]] = field(default_factory=list)
    disks: dict[str, str] = field(default_factory=dict)

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer one remote step: what `run` or `put` is to return or raise."""
        for fault in self.faults:
            if (said := fault(asked)) is not None:
                return said
        self.steps.append((asked["alias"], asked["what"]))
        disk = self.files.setdefault(asked["id"], {})
        if asked["kind"] == "put":
            disk[asked["path"]] = asked["data"]
            return {}
        what = asked["what"]
        if what.startswith("writing ") and asked.get("input") is not None:
            disk[what.removeprefix("writing ")] = asked["input"]
            return {"out": ""}
        if what.startswith("reading "):
            content = disk.get(what.removeprefix("reading "), "{}")
            return {"out": base64.b64encode(content.encode()).decode()}
        if what == "making its host key":
            if "host_key.pub" not in disk:
                disk["host_key.pub"] = ssh.keys.generate().public
            return {"out": disk["host_key.pub"]}
        if what == "making it a node":
            disk["account"] = "ipuser"
            return {"out": ""}
        if what == "asking what the machine has":
            key = disk.get("~/.ssh/id_ed25519.pub", "").strip()
            account = disk.get("account", "")
            facts = {
                "cores": 2,
                "memory_mb": 4000,
                "sudo": 1,
                "systemd": 1,
                "tmux": 1,
                "package_manager": "apt-get",
                "python": "3.11.7",
                "home": "/home/ubuntu",
                "cluster_key": key,
                "account": account,
                "account_home": f"/home/{account}" if account else "",
                "account_key": f"{key} of {account}" if account else "",
            }
            return {"out": "".join(f"{name}={value}\n" for name, value in facts.items())}
        return {"out": "".join(self._printed(asked.get("script", ""), what, disk))}

    def _printed(self, script: str, what: str, disk: dict[str, str]) -> Iterator[str]:
        """Do what the scripts for volumes do, with `disks` for what is on the volumes."""
        if what == "asking how the machine does":
            yield VITALS.format(clock=int(time.time()), draining=0)
        if what == "unmounting the volumes":
            yield from (f"{path}\n" for path in _items(script, "paths"))
        if what != "mounting the volumes":
            return
        for volume, path in zip(_items(script, "ids"), _items(script, "paths"), strict=True):
            outcome = "there" if path in disk else "mounted"
            if volume not in self.disks:
                if not script.startswith("format=1\n"):
                    yield f"{path}\tnew\tit has no file system yet\n"
                    continue
                self.disks[volume] = "ext4"
                outcome = "formatted"
            disk[path] = volume
            yield f"{path}\t{outcome}\text4 1000000000\n"


def _items(script: str, name: str) -> list[str]:
    found = re.search(rf"^{name}=\((.*)\)$", script, re.MULTILINE)
    assert found, name
    return shlex.split(found[1])


class StubConnection:
    """Stands for `spotcluster.ssh.Connection` in a terminal."""

    alive = True

    def __init__(self, target: ssh.Target, url: str) -> None:
        self._target = target
        self._url = url

    def _ask(self, kind: str, what: str, **more: Any) -> dict[str, Any]:
        asked = {
            "kind": kind,
            "what": what,
            "alias": self._target.alias,
            "id": self._target.host_key_alias,
            **more,
        }
        request = urllib.request.Request(f"{self._url}/remote", json.dumps(asked).encode())
        with _DIRECT.open(request, timeout=240) as got:
            answer: dict[str, Any] = json.load(got)
        if "lost" in answer:
            self.alive = False
            raise ConnectionFailed(self._target.alias, answer["lost"])
        if answer.get("status"):
            raise RemoteCommandFailed(
                self._target.alias,
                what,
                answer.get("command", "sh"),
                answer["status"],
                answer.get("out", ""),
            )
        return answer

    def run(
        self,
        script: str,
        *,
        timeout: float = 600.0,
        what: str = "",
        user: str | None = None,
        input: bytes | None = None,  # noqa: A002 - as in what it stands for
    ) -> Any:
        from spotcluster.ssh.connection import Result

        given = None if input is None else input.decode()
        answer = self._ask("run", what, script=script, timeout=timeout, user=user, input=given)
        return Result(0, answer.get("out", ""), "")

    def put(self, data: bytes | Path, target: str, *, mode: int = 0o600) -> None:
        raw = data.read_bytes() if isinstance(data, Path) else data
        self._ask("put", f"writing {target}", path=target, data=raw.decode())

    def get(self, source: str) -> bytes:
        return base64.b64decode(self._ask("get", f"reading {source}")["out"])

    def close(self) -> None:
        pass


@dataclass
class Done:
    """How a terminal ended."""

    status: int
    out: str
    err: str
    killed: bool


class Terminal:
    """A running terminal."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self._folder = folder
        self.done: Done | None = None

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.kill(self.pid, signal.SIGINT)

    def kill(self) -> Done:
        """Kill it as `kill -9` does, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def ended(self) -> bool:
        """Return whether it has ended."""
        if self.done is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                said = [(self._folder / name).read_text() for name in ("out", "err")]
                self.done = Done(code, *said, killed=code == -signal.SIGKILL)
        return self.done is not None

    def wait(self, timeout: float = 240.0) -> Done:
        """Wait for the end."""
        end = time.monotonic() + timeout
        while not self.ended():
            if time.monotonic() > end:
                self.kill()
                said = (self._folder / "err").read_text()
                raise AssertionError(f"a terminal took more than {timeout} s; it said:\n{said}")
            time.sleep(0.002)
        assert self.done
        return self.done


@dataclass(frozen=True)
class Saved:
    """EC2, the disks of its machines, and what the terminals' computer keeps for clusters."""

    cloud: bytes
    machines: dict[str, dict[str, str]]
    own: dict[Path, bytes]


class World:
    """EC2 and its machines, and terminals before them."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home
        self.machines = Machines()
        self.calls: list[str] = []
        self.on_call: Callable[[int, str, Callable[[], Response]], Response] | None = None
        self.denied: Callable[[str], bool] = lambda action: False
        self._lock = threading.Lock()
        self._number = 0
        self.frozen: set[str] = set()
        self._new_cloud()
        self._server = make_server(
            "127.0.0.1", 0, self, threaded=True, request_handler=MotoRequestHandler
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._connected = _followed(self._server)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )

    # The server.

    def _new_cloud(self) -> None:
        self.cloud = Cloud(self.folder / "cloud")
        self._application = Application(self.cloud, CREDENTIALS, changed=self.settle)

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def settle(self) -> None:
        """Let instances be what they are to be, but for those that are `frozen` (by alias)."""
        with self.cloud.lock:
            for one in self.cloud.instances():
                alias = one.ec2_backend.tags.get(one.id, {}).get("spotcluster:alias")
                if one.state == "pending" and alias not in self.frozen:
                    one.has_booted(22)
                elif one.state == "shutting-down":
                    one.has_ended("the console's last line")
                elif one.state == "stopping":
                    one.has_stopped()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/idle":
            return Response()(environ, start_response)
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size) if size else b""
        if environ["PATH_INFO"] == "/remote":
            asked = json.loads(body)
            name = f"{asked['alias']}: {asked['what']}"

            def do() -> Response:
                return Response(json.dumps(self.machines.answer(asked)))

        else:
            name = _action(environ, body)

            def do() -> Response:
                import io

                environ["wsgi.input"] = io.BytesIO(body)
                return Response.from_app(self._application, environ, buffered=True)

        with self._lock:
            self._number += 1
            number = self._number
            self.calls.append(name)
        response = self.on_call(number, name, do) if self.on_call else do()
        return response(environ, start_response)

    def wait_until_idle(self) -> None:
        """Wait until every request that terminals sent before they ended has taken effect."""
        # What was sent may not even be accepted. Connections are accepted in their order, so that
        # when we are answered all of theirs are; the thread of each ends when all of it is done.
        with _DIRECT.open(f"{self.url}/idle", timeout=60):
            pass
        end = time.monotonic() + 60
        while self._connected - _own_connections():
            assert time.monotonic() < end, "a request of a terminal that has ended goes on"
            time.sleep(0.002)

    def begin(self) -> None:
        """Count calls from 1 again."""
        with self._lock:
            self._number = 0
            self.calls = []

    # What there is.

    def save(self) -> Saved:
        """Return the state of everything."""
        self.cloud.save()
        state = (self.folder / "cloud" / "state.pickle").read_bytes()
        own = {path: path.read_bytes() for path in self.own_files()}
        return Saved(state, copy.deepcopy(self.machines.files), own)

    def restore(self, saved: Saved) -> None:
        """Make everything as it was."""
        (self.folder / "cloud" / "state.pickle").write_bytes(saved.cloud)
        self._new_cloud()
        self.cloud.load()
        self.machines.files = copy.deepcopy(saved.machines)
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
            for one in self.cloud.instances():
                own = one.ec2_backend.tags.get(one.id, {})
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

    def left(self) -> list[str]:
        """Return everything that was made in EC2 and is still there, whatever its tags."""
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
                *backend.launch_templates,
                *getattr(backend, "placement_groups", {}),
                *(name for name in backend.key_pairs if name != "mykey"),
            ]

    # Terminals.

    def terminal(self, *words: str) -> Terminal:
        """Run the program with `words` in a process of its own."""
        folder = Path(tempfile.mkdtemp(dir=self.folder, prefix="terminal-"))
        pid = os.fork()
        if pid == 0:
            _be_terminal(folder, self.url, list(words))
        return Terminal(pid, folder)

    def run(self, *words: str, status: int = 0, timeout: float = 240.0) -> Done:
        """Run the program to its end, which must be `status`."""
        done = self.terminal(*words).wait(timeout)
        assert done.status == status, f"{words}: {done.status}\n{done.out}\n{done.err}"
        assert "Traceback" not in done.err
        return done


def set_limit(home: Path, name: str, seconds: int) -> None:
    """Let the one setting of that name in the config be so many seconds."""
    path = home / "config"
    text, number = re.subn(rf"{name} = \d+", f"{name} = {seconds}", path.read_text())
    assert number == 1
    path.write_text(text)


def _followed(server: Any) -> set[tuple[str, int]]:
    """Return what always has the clients' ends of all connections that a server has accepted."""
    connected: set[tuple[str, int]] = set()
    accept, serve = server.process_request, server.process_request_thread

    def accepted(request: Any, address: tuple[str, int]) -> None:
        connected.add(address)
        accept(request, address)

    def served(request: Any, address: tuple[str, int]) -> None:
        try:
            serve(request, address)
        finally:
            connected.discard(address)

    server.process_request, server.process_request_thread = accepted, served
    return connected


def _own_connections() -> set[tuple[str, int]]:
    """Return our ends of connections: tests call EC2 too, and keep theirs open."""
    return {tuple(one.laddr) for one in psutil.Process().net_connections("tcp")}


def _action(environ: dict[str, Any], body: bytes) -> str:
    target = str(environ.get("HTTP_X_AMZ_TARGET") or "")
    if target:
        return target.rpartition(".")[2]
    return dict(parse_qsl(body.decode(errors="replace"))).get("Action", environ["PATH_INFO"])


def _be_terminal(folder: Path, url: str, words: list[str]) -> NoReturn:
    """Become a terminal, in a process that was just forked."""
    status = 99
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for name, number in (("out", 1), ("err", 2)):
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(handle, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))

        def connect(target: ssh.Target, **_: Any) -> Any:
            connection = StubConnection(target, url)
            connection._ask("ssh", "connecting")
            return connection

        ssh.connect = ssh.wait_for = connect  # type: ignore[assignment]
        from spotcluster.cli import main

        status = main.run(words)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - whatever it is, the child must not become a second test
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


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
