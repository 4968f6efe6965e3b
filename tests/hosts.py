"""Hosts of a local cloud, reached from outside by ssh, sftp and scp."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config
from commands import wait_until
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from spotcluster import local
from spotcluster.local import processes

LIMIT = 120.0
LEAVE_BEHIND = """
setsid sleep 1111 > /dev/null 2>&1 < /dev/null &
(setsid sh -c 'sleep 2222; :' > /dev/null 2>&1 < /dev/null &)
env -i setsid sleep 3333 > /dev/null 2>&1 < /dev/null &
nohup sh -c 'trap "" TERM HUP INT; while :; do sleep 0.5; done' > /dev/null 2>&1 &
echo done
"""


def client_of(endpoint: local.Endpoint, service: str = "ec2") -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint.url,
        region_name=endpoint.region,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        config=Config(proxies={}),
    )


def new_key(path: Path) -> str:
    """Write a new private key; return the public one."""
    key = Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


class Machine:
    """An instance and the ways to reach it."""

    def __init__(self, ec2: Any, instance_id: str, folder: Path) -> None:
        self.ec2 = ec2
        self.id = instance_id
        self.folder = folder

    def describe(self) -> dict[str, Any]:
        answer = self.ec2.describe_instances(InstanceIds=[self.id])
        instance: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
        return instance

    @property
    def state(self) -> str:
        return str(self.describe()["State"]["Name"])

    def wait(self, state: str) -> Machine:
        wait_until(f"{self.id} to be {state}", lambda: self.state == state)
        return self

    @property
    def address(self) -> tuple[str, int]:
        found = self.describe()
        tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
        return found["PublicIpAddress"], int(tags["spotcluster:ssh-port"])

    def command(self, program: str, *options: str, key: str = "key") -> list[str]:
        """Return ssh, sftp or scp with what they need to log in."""
        port = "-p" if program == "ssh" else "-P"
        return [
            *(program, "-F", "none", port, str(self.address[1]), "-i", str(self.folder / key)),
            *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *options,
        ]

    def ssh(self, script: str, *options: str, key: str = "key", **more: Any) -> Any:
        return subprocess.run(
            [*self.command("ssh", *options, key=key), f"ubuntu@{self.address[0]}", script],
            capture_output=True,
            text=more.pop("text", True),
            timeout=LIMIT,
            **{"stdin": subprocess.DEVNULL, **more} if "input" not in more else more,
        )

    def processes(self) -> list[psutil.Process]:
        return processes.marks().get(self.id, [])


def running(machine: Machine, *commands: str) -> list[psutil.Process]:
    """Return the processes of a machine that run `commands`; none if one of them is missing."""
    found = {}
    for process in machine.processes():
        try:
            found[" ".join(process.cmdline())] = process
        except psutil.Error:
            continue
    return [found[c] for c in commands] if all(c in found for c in commands) else []


def connect(host: str, port: int) -> socket.socket | None:
    try:
        return socket.create_connection((host, port), timeout=LIMIT)
    except OSError:
        return None


def tree(machine: Machine) -> list[psutil.Process]:
    """Return the host's server and all that is below it."""
    folder = Path(os.environ["SPOTCLUSTER_HOME"]) / "local" / "hosts" / machine.id
    pid = json.loads((folder / "etc" / "running.json").read_text())["pid"]
    server = psutil.Process(pid)
    return [server, *server.children(recursive=True)]
