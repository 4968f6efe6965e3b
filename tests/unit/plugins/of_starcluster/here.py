"""A node that is this computer: its scripts run in bash, in a folder of the test's."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from spotcluster.errors import RemoteCommandFailed


@dataclass(eq=False)
class Here:
    home: Path
    alias: str = "master"
    sudo: bool = False
    users: list[str | None] = field(default_factory=list)
    private_ip: str = "10.0.0.1"

    @property
    def is_master(self) -> bool:
        return self.alias == "master"

    @property
    def instance(self) -> Any:
        return SimpleNamespace(
            id=f"i-{self.alias}", type="c5.large", zone="us-east-1a", public_ip="", spot=False
        )

    @property
    def facts(self) -> Any:
        return SimpleNamespace(
            sudo=self.sudo, cores=2, memory_mb=4096, package_manager="apt-get", home=str(self.home)
        )

    @property
    def account(self) -> Any:
        return SimpleNamespace(name="ipuser", home=str(self.home))

    def run(
        self,
        script: str,
        *,
        what: str = "",
        timeout: float = 600.0,
        user: str | None = None,
        input: bytes | None = None,  # noqa: A002
    ) -> str:
        self.users.append(user)
        done = subprocess.run(
            ["bash", "--norc", "-c", f"set -euo pipefail\n{script}"],
            cwd=self.home,
            env={**os.environ, "HOME": str(self.home)},
            input=input or b"",
            capture_output=True,
            timeout=timeout,
        )
        output = (done.stdout + done.stderr).decode()
        if done.returncode:
            raise RemoteCommandFailed(self.alias, what, script, done.returncode, output)
        return done.stdout.decode()


@dataclass
class Cluster:
    nodes: list[Here]
    notes: list[str] = field(default_factory=list)
    ready_nodes: list[Here] = field(default_factory=list)
    drain_timeout: float = 120.0
    name: str = "mycluster"
    region: str = "us-east-1"
    shell: str = "bash"
    volumes: tuple[Any, ...] = ()

    @property
    def master(self) -> Here:
        return self.nodes[0]

    def note(self, message: str) -> None:
        self.notes.append(message)
