"""A node: an instance, and one SSH connection to it."""

from __future__ import annotations

import base64
import contextlib
import logging
import shlex
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spotcluster import ssh, templates, wording
from spotcluster.aws import tags
from spotcluster.aws.instances import Instance
from spotcluster.cluster import limits
from spotcluster.errors import NodeError, RemoteCommandFailed
from spotcluster.ssh.failures import CannotConnect, Reason
from spotcluster.steps import FOLDER, Step, finished

log = logging.getLogger("spotcluster.node")

_MISSING = 44  # a status of ours, for a file that is not there


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
    account: str
    account_home: str
    account_key: str
    tmux: bool

    @property
    def has_units(self) -> bool:
        """Whether services can be units of systemd's."""
        return self.sudo and self.systemd

    @classmethod
    def parse(cls, text: str) -> Facts:
        """Read the ``name=value`` lines that prepare.sh prints."""
        given: dict[str, str] = {}
        for line in text.splitlines():
            name, there, value = line.partition("=")
            if there:  # of two with one name, the second is not the script's own
                given.setdefault(name, value)
        return cls(
            cores=int(given["cores"]),
            memory_mb=int(given["memory_mb"]),
            sudo=given["sudo"] == "1",
            systemd=given["systemd"] == "1",
            package_manager=given["package_manager"],
            python=given["python"],
            home=given["home"],
            cluster_key=given["cluster_key"],
            account=given["account"],
            account_home=given["account_home"],
            account_key=given["account_key"],
            tmux=given["tmux"] == "1",
        )


@dataclass(frozen=True)
class Account:
    """A user of a node, in the user's own home; see `spotcluster.plugins.base.Account`."""

    node: Node
    name: str
    home: str

    def run(
        self,
        script: str,
        *,
        what: str = "",
        timeout: float = 600.0,
        input: bytes | None = None,  # noqa: A002 - the name that subprocess.run has for it
    ) -> str:
        """Run a bash script as this user."""
        return self.node.run(script, what=what, timeout=timeout, user=self.name, input=input)

    def put(self, data: bytes, target: str, *, mode: int = 0o600) -> None:
        """Write a file of this user's, aside and then renamed; `target` may start with ``~/``."""
        path = target.removeprefix("~/")
        script = f'umask 077\npath={shlex.quote(path)}\n{FOLDER}cat >"$path.new"\n{finished(mode)}'
        self.run(script, what=f"writing {target}", timeout=60, input=data)

    def get(self, source: str) -> bytes:
        """Return the content of a file of this user's; `source` may start with ``~/``."""
        path = shlex.quote(source.removeprefix("~/"))
        script = f"[ -e {path} ] || exit {_MISSING}\nbase64 <{path}"
        what = f"reading {source}"
        try:
            said = self.node.run(script, what=what, timeout=60, user=self.name, secret=True)
        except RemoteCommandFailed as error:
            if error.status == _MISSING:
                raise FileNotFoundError(f"{self.node.alias} has no {source}") from None
            raise
        return base64.b64decode(said)


class Node:
    """A node of a cluster; safe to use from several threads.

    Parameters
    ----------
    instance : Instance
        As EC2 described it last.
    key_path : Path
        The private key that its image's user lets in.
    inside : bool
        Whether we are on the cluster's master, which reaches the others by their private addresses.

    Attributes
    ----------
    timed : callable or None
        Told of each round trip what it was for, when it began and when it ended.
    """

    def __init__(self, instance: Instance, key_path: Path, *, inside: bool = False) -> None:
        self.instance = instance
        self.key_path = key_path
        self._inside = inside
        self.timed: Callable[[str, float, float], None] | None = None
        self._facts: Facts | None = None
        self._connection: ssh.Connection | None = None
        self._lock = threading.Lock()
        self._asking = threading.Lock()

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
            host=self.private_ip if self._inside else self.instance.address,
            port=self.instance.ssh_port,
            user=self.instance.tags.get(tags.LOGIN, "ubuntu"),
            key_path=self.key_path,
            host_key=host_key,
            host_key_alias=self.instance.id,
            next_host_key=self._next_host_key(host_key),
            proxy_jump="" if self._inside else self.instance.proxy_jump,
        )

    def _next_host_key(self, host_key: str) -> str:
        coming = self.instance.tags.get(tags.NEXT_HOST_KEY, "")
        return "" if coming == host_key else coming

    @property
    def facts(self) -> Facts:
        """What its machine has, asked once, whoever asks at once."""
        with self._asking:
            return self._facts or self.prepare()

    @property
    def facts_if_asked(self) -> Facts | None:
        """What its machine has, where that has been asked already."""
        return self._facts

    def wait_for_ssh(self, *, timeout: float, should_stop: Callable[[], str | None]) -> None:
        """Wait until SSH lets us in; `should_stop` may say why to give up."""
        self._take(ssh.wait_for(self.target, timeout=timeout, should_stop=should_stop))

    def reconnect(self, target: ssh.Target, *, timeout: float) -> None:
        """Leave the connection there is for a new one, to the machine that `target` pins."""
        self._take(ssh.wait_for(target, timeout=timeout))

    def _take(self, connection: ssh.Connection) -> None:
        with self._lock:
            self._connection, old = connection, self._connection
        if old:
            old.close()

    def prepare(self) -> Facts:
        """Ask what its machine has."""
        return self.learn(self.run_each([asking()])[0])

    def learn(self, said: str) -> Facts:
        """Take in what the step `asking` has said."""
        self._facts = Facts.parse(said)
        return self._facts

    @property
    def account(self) -> Account:
        """Who the cluster's work runs as: the cluster user, or the login where there is none."""
        facts = self.facts
        return Account(self, facts.account or self.target.user, facts.account_home or facts.home)

    def run(
        self,
        script: str,
        *,
        what: str = "",
        timeout: float = 600.0,
        user: str | None = None,
        input: bytes | None = None,  # noqa: A002 - the name that subprocess.run has for it
        secret: bool = False,
    ) -> str:
        """Run a bash script in one round trip; see `spotcluster.plugins.base.Node.run`.

        Parameters
        ----------
        secret : bool
            Whether its output may be a secret, and is not written to the log.
        """
        timeout = limits.within(timeout, self.alias, what)
        connection = self.connection()
        with self._timing(what):
            result = connection.run(script, timeout=timeout, what=what, user=user, input=input)
        log.debug("%s: %s: done\n%s", self.alias, what or "script", result.stderr)
        if not secret:
            log.debug("%s: %s\n%s", self.alias, what or "script", result.stdout)
        return result.stdout

    def run_each(self, steps: Sequence[Step]) -> list[str]:
        """Run several scripts in one round trip; see `spotcluster.plugins.base.Node.run_each`."""
        whole = sum(step.timeout for step in steps)
        timeout = limits.within(whole, self.alias, steps[0].what)
        connection = self.connection()
        with self._timing(wording.some([step.what for step in steps], 2)):
            said = connection.run_each(steps, timeout=timeout)
        for step, one in zip(steps, said, strict=True):
            log.debug("%s: %s: done\n%s", self.alias, step.what, one)
        return said

    @contextlib.contextmanager
    def _timing(self, what: str) -> Iterator[None]:
        """Tell whoever times this node how long a round trip takes."""
        begin = time.monotonic()
        try:
            yield
        finally:
            if self.timed:
                self.timed(what, begin, time.monotonic())

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

    @contextlib.contextmanager
    def connected(self, user: str | None) -> Iterator[tuple[ssh.Connection, str | None]]:
        """Give a connection for `user`, and who the login has to become on it, if anybody.

        Who may not log in, the login becomes by sudo. Images let root in to be told off only.
        """
        target = self.target
        if user and user not in (target.user, "root"):
            try:
                own = ssh.connect(replace(target, user=user), timeout=20)
            except CannotConnect as error:
                if error.reason != Reason.KEY_REFUSED:
                    raise
            else:
                with own:
                    yield own, None
                    return
        yield self.connection(), user

    def close(self) -> None:
        """Close the connection."""
        with self._lock, contextlib.suppress(OSError):
            if self._connection:
                self._connection.close()
            self._connection = None


def asking() -> Step:
    """Return the step that asks what a machine has; `Node.learn` takes the answer."""
    return Step(templates.read("prepare.sh"), what="asking what the machine has")


def let_in(master: Node, worker: Node, also: Sequence[Step] = ()) -> None:
    """Let a worker know the master by name, and let it in.

    Where the machines have a cluster user, that one is let in as itself, with a key of its own:
    the master's login could become root on the worker, and the cluster user must not. `also` is
    done in the same round trip.
    """
    what = "letting the master in"
    own = templates.script("authorize.sh", key=master.facts.cluster_key)
    steps = [Step(own, what)]
    if worker.facts.account and master.facts.account_key:
        own = templates.script("authorize.sh", key=master.facts.account_key)
        steps.append(Step(own, what, user=worker.facts.account))
    if worker.facts.sudo:
        steps.append(naming(master.alias, master.private_ip))
    worker.run_each([*steps, *also])


def naming(alias: str, address: str) -> Step:
    """Return the step that lets a node know another one, or itself, by name, in its /etc/hosts."""
    script = templates.script("hosts.sh", aliases=[alias], addresses=[address])
    return Step(script, f"naming {alias}", user="root")


def introduce(master: Node, workers: Sequence[Node]) -> None:
    """Let ``ssh ALIAS`` on the master reach workers by their host keys, which it is told."""
    aliases = [worker.alias for worker in workers]
    targets = [worker.target for worker in workers]
    script = templates.script(
        "alias.sh",
        aliases=aliases,
        addresses=[worker.private_ip for worker in workers],
        ports=[target.port for target in targets],
        # Where there is no cluster user, whoever asks is let in as the node's login.
        login=master.target.user if master.facts.account else "*",
        users=[target.user for target in targets],
        host_ids=[target.host_key_alias for target in targets],
        host_keys=[ssh.keys.bare(target.host_key) for target in targets],
    )
    _run_naming(master, script, f"naming {wording.some(aliases)}")


def forget(master: Node, alias: str) -> None:
    """Take a node's name from the master."""
    script = templates.script("alias.sh", aliases=[alias], addresses=[""])
    _run_naming(master, script, f"forgetting {alias}")


def forget_others(master: Node, aliases: Iterable[str]) -> None:
    """Take the names of all nodes but these from the master: others went while it was off."""
    what = "forgetting nodes that are no more"
    script = templates.script("names.sh", keep=sorted(aliases))
    if master.facts.sudo:
        master.run(f"folder=/etc/spotcluster/ssh\n{script}", what=what, timeout=60, user="root")
    else:
        master.run(f"folder=$HOME/.ssh/spotcluster\n{script}", what=what, timeout=60)


def _run_naming(master: Node, script: str, what: str) -> None:
    if master.facts.sudo:
        hosts = templates.read("hosts.sh")
        script = f"folder=/etc/spotcluster/ssh\nmode=644\n{script}\n{hosts}"
        master.run(script, what=what, timeout=60, user="root")
    else:
        script = f"folder=$HOME/.ssh/spotcluster\nmode=600\n{script}"
        master.run(script, what=what, timeout=60)
