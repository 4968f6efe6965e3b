"""A node: an instance, and one SSH connection to it."""

from __future__ import annotations

import contextlib
import logging
import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spotcluster import ssh, templates
from spotcluster.aws import tags
from spotcluster.aws.instances import Instance
from spotcluster.cluster import limits
from spotcluster.errors import NodeError

log = logging.getLogger("spotcluster.node")


@dataclass(frozen=True)
class Facts:
    """What a node's machine has; see `spotcluster.plugins.base.Facts`."""

    cores: int
    memory_mb: int
    sudo: bool
    systemd: bool
    package_manager: str
    python: str
    home: str
    cluster_key: str

    @classmethod
    def parse(cls, text: str) -> Facts:
        """Read the ``name=value`` lines that prepare.sh prints."""
        given = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        return cls(
            cores=int(given["cores"]),
            memory_mb=int(given["memory_mb"]),
            sudo=given["sudo"] == "1",
            systemd=given["systemd"] == "1",
            package_manager=given["package_manager"],
            python=given["python"],
            home=given["home"],
            cluster_key=given["cluster_key"],
        )


class Node:
    """A node of a cluster; safe to use from several threads.

    Parameters
    ----------
    instance : Instance
        As EC2 described it last.
    key_path : Path
        The private key that its image's user lets in.
    """

    def __init__(self, instance: Instance, key_path: Path) -> None:
        self.instance = instance
        self.key_path = key_path
        self._facts: Facts | None = None
        self._connection: ssh.Connection | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Node {self.alias} {self.instance.id}>"

    @property
    def alias(self) -> str:
        """The node's name in its cluster."""
        return self.instance.alias

    @property
    def is_master(self) -> bool:
        """Whether it is the master."""
        return self.instance.is_master

    @property
    def private_ip(self) -> str:
        """Its address inside the cluster."""
        return self.instance.private_ip

    @property
    def target(self) -> ssh.Target:
        """How SSH reaches it, and the only host key that it may have."""
        host_key = self.instance.tags.get(tags.HOST_KEY)
        if not host_key:
            raise NodeError(
                self.alias,
                f"its instance {self.instance.id} has no tag {tags.HOST_KEY}, so nothing says"
                " which machine is the right one.",
                "Remove the node; it was not started by spotcluster, or its tags were changed.",
            )
        return ssh.Target(
            alias=self.alias,
            host=self.instance.address,
            port=self.instance.ssh_port,
            user=self.instance.tags.get(tags.LOGIN, "ubuntu"),
            key_path=self.key_path,
            host_key=host_key,
            host_key_alias=self.instance.id,
        )

    @property
    def facts(self) -> Facts:
        """What its machine has, asked once."""
        if self._facts is None:
            self._facts = self.prepare()
        return self._facts

    def wait_for_ssh(self, *, timeout: float, should_stop: Callable[[], str | None]) -> None:
        """Wait until SSH lets us in; `should_stop` may say why to give up."""
        connection = ssh.wait_for(self.target, timeout=timeout, should_stop=should_stop)
        with self._lock:
            self._connection, old = connection, self._connection
        if old:
            old.close()

    def prepare(self) -> Facts:
        """Make its folder and ask what its machine has."""
        script = f"master={int(self.is_master)}\n" + templates.read("prepare.sh")
        self._facts = Facts.parse(self.run(script, what="asking what the machine has", timeout=60))
        return self._facts

    def run(self, script: str, *, what: str = "", timeout: float = 600.0) -> str:
        """Run a bash script in one round trip; see `spotcluster.plugins.base.Node.run`."""
        timeout = limits.within(timeout, self.alias, what)
        result = self.connection().run(script, timeout=timeout, what=what)
        log.debug("%s: %s\n%s%s", self.alias, what or "script", result.stdout, result.stderr)
        return result.stdout

    def put(self, data: bytes | Path, target: str, *, mode: int = 0o600) -> None:
        """Write a file on the node; see `spotcluster.plugins.base.Node.put`."""
        self.connection().put(data, target, mode=mode)

    def get(self, source: str) -> bytes:
        """Return the content of a file on the node."""
        return self.connection().get(source)

    def connection(self) -> ssh.Connection:
        """Return the connection, made on first use and again when it has been lost."""
        with self._lock:
            if self._connection is None or not self._connection.alive:
                self._connection = ssh.connect(self.target, timeout=20)
            return self._connection

    def close(self) -> None:
        """Close the connection."""
        with self._lock, contextlib.suppress(OSError):
            if self._connection:
                self._connection.close()
            self._connection = None


def introduce(master: Node, worker: Node) -> None:
    """Let ``ssh ALIAS`` on the master reach the worker: known host key, key let in, no agent."""
    worker.run(
        f"key={shlex.quote(master.facts.cluster_key)}\n" + templates.read("authorize.sh"),
        what="letting the master in",
        timeout=60,
    )
    target = worker.target
    given = {
        "alias": worker.alias,
        "address": worker.private_ip,
        "port": str(target.port),
        "user": target.user,
        "host_id": target.host_key_alias,
        "host_key": " ".join(target.host_key.split()[:2]),
    }
    lines = "".join(f"{key}={shlex.quote(value)}\n" for key, value in given.items())
    master.run(lines + templates.read("alias.sh"), what=f"naming {worker.alias}", timeout=60)


def forget(master: Node, alias: str) -> None:
    """Take a node's name from the master."""
    name = shlex.quote(alias)
    master.run(
        f'rm -f "$HOME/.ssh/spotcluster/"{name}.conf "$HOME/.ssh/spotcluster/"{name}.known_hosts',
        what=f"forgetting {alias}",
        timeout=30,
    )
