"""Services on a node: started, started again when they die, stopped; whatever the machine has.

A service is a script in ``~/.spotcluster/services`` of the account that it runs as. It writes its
own log. One that ends with the status `DONE` wants to stay ended.

Two do the work: systemd, where it is and where we can become root, and a script of ours beside
each service elsewhere. The first brings services back after a reboot too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from spotcluster import templates
from spotcluster.node_layout import DONE, SERVICES
from spotcluster.plugins.base import Node
from spotcluster.steps import Step, writing

_MACHINE = "/etc/spotcluster/services"
_STOPPING = 5.0  # seconds that a service may take to end cleanly
_PARENT = """\
OOMPolicy=continue
KillMode=mixed
"""


class Supervisor(Protocol):
    """Looks after the services of one node."""

    def start(self, service: str) -> None:
        """Start a service; one that runs is not touched."""

    def starting(self, service: str, *, is_parent: bool = False) -> list[Step]:
        """Return the steps of `start`, for `Node.run_each`.

        Parameters
        ----------
        is_parent : bool
            Whether it looks after processes of its own: it goes on when one of them is killed, for
            want of memory too, and ends them when it is told to end.
        """

    def stop(self, service: str, *, patience: float = 0.0) -> list[str]:
        """Stop a service, and all of that name that an earlier version has started.

        Parameters
        ----------
        patience : float
            Seconds to wait for them to end by themselves before they are told to.

        Returns
        -------
        list of str
            Those that had to be told.
        """

    def stopping(self, service: str, *, patience: float = 0.0) -> Step:
        """Return the step that is `stop`; it prints those that had to be told."""

    def retiring(self, service: str, runs: int) -> Step:
        """Return the step that sees that a service of an earlier version does not come back.

        Where some of it runs, nothing is done, and the step ends with the status `runs`.
        """

    def status(self, service: str) -> dict[str, bool]:
        """Return whether a service runs, by its name; of an earlier version's, each: engine@1."""


def of(node: Node) -> Supervisor:
    """Return the supervisor of a node."""
    return _Systemd(node) if node.facts.has_units else _Plain(node)


def starting_for_machine(node: Node, service: str, files: Mapping[str, str]) -> list[Step]:
    """Return the steps that start a service of the machine's: as root, where that can be had.

    Elsewhere it is one of the account's. `files` stand beside its script, each by its name, and
    the script is told where, as ``folder``.
    """
    folder, user = of_machine(node)
    script = templates.script(f"{service}.sh", folder=_in_full(node, folder))
    writes = [
        writing(f"{folder}/{name}", content, user=user, mode=0o644)
        for name, content in files.items()
    ]
    writes.append(writing(f"{folder}/{service}", script, user=user, mode=0o700))
    if node.facts.has_units:
        return [*writes, _Systemd(node).starting_as(user, folder, service)]
    return [*writes, *_Plain(node, folder, user).starting(service)]


def of_login(node: Node, login: str, home: str) -> Supervisor:
    """Return the supervisor of services that run as the login, who may become root."""
    folder = f"{home}/{SERVICES.removeprefix('~/')}"
    return _Systemd(node, login, folder) if node.facts.has_units else _Plain(node, folder, login)


def of_machine(node: Node) -> tuple[str, str]:
    """Return where the files of the machine's services are, and as whom they run."""
    return (_MACHINE, "root") if node.facts.sudo else (SERVICES, node.account.name)


def _in_full(node: Node, path: str) -> str:
    return path.replace("~", node.account.home, 1) if path.startswith("~/") else path


def install(node: Node, service: str, script: str) -> None:
    """Write a service's script; one that runs goes on with the one that it was started by."""
    node.account.put(script.encode(), f"{SERVICES}/{service}", mode=0o700)


def installing(node: Node, service: str, script: str) -> Step:
    """Return the step that is `install`."""
    return writing(f"{SERVICES}/{service}", script, user=node.account.name, mode=0o700)


class _Systemd:
    """Units of the system's systemd, named ``spotcluster-SERVICE``, run as the account."""

    def __init__(self, node: Node, user: str = "", folder: str = SERVICES) -> None:
        self._node = node
        self._user = user
        self._folder = folder

    def start(self, service: str) -> None:
        self._node.run_each(self.starting(service))

    def starting(self, service: str, *, is_parent: bool = False) -> list[Step]:
        folder = _in_full(self._node, self._folder)
        user = self._user or self._node.account.name
        return [self.starting_as(user, folder, service, is_parent=is_parent)]

    def stop(self, service: str, *, patience: float = 0.0) -> list[str]:
        return self._run(self.stopping(service, patience=patience)).split()

    def stopping(self, service: str, *, patience: float = 0.0) -> Step:
        return self._step("stop", service, patience=patience)

    def retiring(self, service: str, runs: int) -> Step:
        return self._step("retire", service, runs=runs)

    def status(self, service: str) -> dict[str, bool]:
        return _states(self._run(self._step("status", service)))

    def starting_as(self, user: str, folder: str, service: str, *, is_parent: bool = False) -> Step:
        """Return the step that starts a service of a folder, as that user."""
        unit = templates.read("service.unit")
        values = {
            "SERVICE": service,
            "USER": user,
            "SERVICES": folder,
            "DONE": str(DONE),
            "STOPPING": f"{_STOPPING:.0f}",
            "PARENT": _PARENT if is_parent else "",
        }
        for key, value in values.items():
            unit = unit.replace(f"@{key}@", value)
        return self._step("start", service, unit=unit)

    def _step(
        self, action: str, service: str, *, unit: str = "", patience: float = 0.0, runs: int = 0
    ) -> Step:
        script = templates.script(
            "units.sh",
            action=action,
            service=service,
            unit=unit,
            patience=f"{patience:.0f}",
            runs=runs,
        )
        return Step(script, f"{action} of {service}", patience + 60, user="root")

    def _run(self, step: Step) -> str:
        return self._node.run(step.script, what=step.what, timeout=step.timeout, user=step.user)


class _Plain:
    """A shell beside each service, which starts it again."""

    def __init__(self, node: Node, folder: str = SERVICES, user: str | None = None) -> None:
        self._node = node
        self._folder = folder
        self._user = user or node.account.name

    def start(self, service: str) -> None:
        self._node.run_each(self.starting(service))

    def starting(self, service: str, *, is_parent: bool = False) -> list[Step]:  # noqa: ARG002 - as all are
        return [
            writing(
                f"{self._folder}/supervise",
                templates.read("supervise.sh"),
                user=self._user,
                mode=0o700,
            ),
            self._step("start", service),
        ]

    def stop(self, service: str, *, patience: float = 0.0) -> list[str]:
        return self._run(self.stopping(service, patience=patience)).split()

    def stopping(self, service: str, *, patience: float = 0.0) -> Step:
        return self._step("stop", service, patience=patience)

    def retiring(self, service: str, runs: int) -> Step:
        return self._step("retire", service, runs=runs)

    def status(self, service: str) -> dict[str, bool]:
        return _states(self._run(self._step("status", service)))

    def _step(self, action: str, service: str, *, patience: float = 0.0, runs: int = 0) -> Step:
        script = templates.script(
            "processes.sh",
            action=action,
            service=service,
            patience=f"{patience:.0f}",
            stopping=f"{_STOPPING:.0f}",
            runs=runs,
            services=_in_full(self._node, self._folder),
        )
        return Step(script, f"{action} of {service}", patience + 60, user=self._user)

    def _run(self, step: Step) -> str:
        return self._node.run(step.script, what=step.what, timeout=step.timeout, user=step.user)


def _states(said: str) -> dict[str, bool]:
    words = (line.split() for line in said.splitlines())
    return {name: state == "running" for name, state in words}
