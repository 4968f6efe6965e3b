"""A lab: machines that boot, an EC2 API that they follow, and what can be done to them.

Everything of a lab is in one namespace of processes, network and mounts, which ends with the
process that made the lab, however that ends.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import boto3
import programs
from botocore.config import Config

from spotcluster.local.access.callers import Credentials
from spotcluster.local.images import UBUNTU
from spotcluster.ssh import keys

from . import cache, image, index, wheels
from .cgroups import Cgroups, sweep
from .contained import contained
from .inside import API_PORT
from .machine import LabError, Machine
from .network import LAPTOP

REGION = "us-east-1"
INDEX_URL = index.URL
_TESTS = Path(__file__).parents[2]
_FOLDER = "spotcluster-lab-"
# These guard against waiting for ever only.
_START_LIMIT = 180
_CALL_LIMIT = 300
_END_LIMIT = 60
_PROGRAM_LIMIT = 600.0
_number = itertools.count()

_CONFIG = f"""
[global]
DEFAULT_TEMPLATE = iptemplate

[key mykey]

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn, psutil
INDEX_URL = {INDEX_URL}

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = 1

[cluster iptemplate]
KEYNAME = mykey
REGION = {REGION}
NODE_INSTANCE_TYPE = c5.large
ALLOW = {LAPTOP}
PLUGINS = pypackages, ipcluster
"""


class Lab:
    """A lab; a context manager.

    Attributes
    ----------
    home : Path
        What ``$SPOTCLUSTER_HOME`` is for programs in the lab.
    ec2 : boto3 client
        The EC2 API that the machines follow.
    log : Path
        What the lab writes.
    """

    _inside = f"{__package__}.inside"

    def __init__(self) -> None:
        owner = f"{os.getpid()}-{next(_number)}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{owner}-"))
        self.home = self.folder / "home"
        self.home.mkdir(mode=0o700)
        self.log = self.folder / "log"
        self.credentials = Credentials.random()
        self._calling = threading.Lock()
        self._key = keys.generate()
        self.key_path = self.folder / "key"
        self.key_path.touch(mode=0o600)
        self.key_path.write_text(self._key.private)
        self._cgroups = Cgroups(owner)
        self._process: subprocess.Popen[str] | None = None
        self._api: tuple[str, int] = ("", 0)
        self._owner = owner

    # From start to end.

    def start(self) -> Self:
        """Make the namespace and what is in it; the first time on a computer takes two minutes."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self) -> None:
        sweep()
        _sweep_folders()
        tools, root, packages = image.tools(), self._image(), wheels.folder()
        self._cgroups.make()
        with socket.create_server(("127.0.0.1", 0)) as listening, self.log.open("ab") as log:
            self._api = listening.getsockname()
            settings = {
                "owner": self._owner,
                "image": str(root),
                "disks": str(cache.folder()),
                "wheels": str(packages),
                "nspawn": str(tools / "usr" / "bin" / "systemd-nspawn"),
                "libraries": image.environment()["LD_LIBRARY_PATH"],
                "access_key": self.credentials.access_key,
                "secret_key": self.credentials.secret_key,
                "listening": listening.fileno(),
            }
            self._process = subprocess.Popen(
                contained([sys.executable, "-m", self._inside], network=True),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
                env={**os.environ, "PYTHONPATH": str(_TESTS)},
                pass_fds=(listening.fileno(),),
                start_new_session=True,
            )
            self._send(json.dumps(settings), _START_LIMIT)
        self.ec2 = self.client("ec2")

    def _image(self) -> Path:
        """Return the image, built if need be."""
        return image.image()

    def close(self) -> None:
        """End everything in the lab."""
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(_END_LIMIT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(_END_LIMIT)
            self._process.stdout.close()
        self._cgroups.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # Programs in the lab.

    @property
    def environment(self) -> dict[str, str]:
        """What a user with AWS credentials and a private endpoint has in the environment."""
        kept = {"PATH", "HOME", "LANG", "LC_ALL", "TERM", "VIRTUAL_ENV", "TMPDIR", "PYTHONPATH"}
        kept.add("NETRC")
        return {
            **{name: os.environ[name] for name in sorted(kept) if name in os.environ},
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{API_PORT}",
            "AWS_ACCESS_KEY_ID": self.credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SPOTCLUSTER_HOME": str(self.home),
        }

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """Start a program of this computer in the lab's network, among the lab's processes.

        It ends with the lab, or with the process that is returned, which only waits for it: see
        `signal` for a way to send it any other signal than that of its end.
        """
        given: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "env": self.environment,
        }
        return subprocess.Popen([*self._entering(), *command], **{**given, **options})

    def _entering(self) -> list[str]:
        """Return what comes before the command of a program that is to be in the lab."""
        entering = ["nsenter", "-t", str(self._first), "--net", "--mount", "--pid", "--"]
        return [*entering, "setpriv", "--pdeathsig", "KILL"]

    def signal(self, started: subprocess.Popen[str], number: int) -> None:
        """Send a signal to a program that `popen` started; SIGINT is what Ctrl-C sends."""
        os.kill(_child_of(started.pid), number)

    def call(
        self, command: Sequence[str], *, timeout: float = _PROGRAM_LIMIT, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this computer in the lab to its end."""
        with self.popen(command, **options) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(list(command), process.returncode, out, err)

    def configure(self, more: str = "") -> None:
        """Write the config of a user with a private mirror, and make the key it names.

        Parameters
        ----------
        more : str
            More of it: sections, or at its beginning more keys of ``[cluster iptemplate]``.
        """
        path = self.home / "config"
        path.touch(mode=0o600)
        path.write_text(f"{_CONFIG}\n{more}")
        if not (self.home / "keys" / "mykey.pem").exists():
            self.run("-r", REGION, "createkey", "mykey")

    def run(self, *words: str, status: int = 0, timeout: float = _PROGRAM_LIMIT) -> str:
        """Run ``spotcluster WORDS`` in the lab.

        Returns
        -------
        str
            Its standard output; standard error where `status` says that it is to fail.
        """
        done = self.program([sys.executable, "-m", "spotcluster", *words], timeout=timeout)
        if done.returncode != status:
            raise LabError(f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def program(
        self, command: Sequence[str], *, timeout: float = _PROGRAM_LIMIT, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of ours to its end, as `call` does, but with what it imports there."""
        return programs.run(
            command, timeout=timeout, env=self.environment, within=self._first, cwd=cwd
        )

    def python(self, program: str, *, timeout: float = _PROGRAM_LIMIT) -> str:
        """Run a Python program on the laptop of the lab; return what it prints."""
        with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".py") as file:
            file.write(program)
            file.flush()
            done = self.program([sys.executable, file.name], timeout=timeout, cwd=self.folder)
        if done.returncode:
            raise LabError(f"the program ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def client(self, service: str) -> Any:
        """Return a boto3 client of the lab's cloud, for this process."""
        return boto3.client(
            service,
            endpoint_url=f"http://{self._api[0]}:{self._api[1]}",
            region_name=REGION,
            aws_access_key_id=self.credentials.access_key,
            aws_secret_access_key=self.credentials.secret_key,
            config=Config(proxies={}, retries={"max_attempts": 0}),
        )

    # Machines.

    @property
    def machines(self) -> list[Machine]:
        """The machines that are there, whatever started them, oldest first."""
        states = ["pending", "running", "stopping", "stopped"]
        pages = self.ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": "instance-state-name", "Values": states}]
        )
        found = [
            one for page in pages for group in page["Reservations"] for one in group["Instances"]
        ]
        found.sort(key=lambda one: (one["LaunchTime"], one["InstanceId"]))
        return [Machine(self, one["InstanceId"]) for one in found]

    def machine(self, name: str) -> Machine:
        """Return the machine of a node (``"node001"``), or of any Name tag."""
        for machine in self.machines:
            if name in (
                machine.tags.get("spotcluster:alias"),
                machine.tags.get("Name"),
                machine.id,
            ):
                return machine
        raise LabError(f"there is no machine '{name}'")

    def launch(self, name: str = "machine", **params: Any) -> Machine:
        """Start an instance that lets in the lab's key from the lab's laptop; see `Machine.ssh`.

        `params` go to RunInstances. Its host key is given in the user data, as the product does it,
        unless `params` has user data of its own.
        """
        self._prepare_launches()
        host_key = keys.generate()
        pair = {"ed25519_private": host_key.private, "ed25519_public": host_key.public}
        given: dict[str, Any] = {
            "ImageId": UBUNTU,
            "InstanceType": "c5.large",
            "MinCount": 1,
            "MaxCount": 1,
            "KeyName": "lab",
            "SecurityGroups": ["lab"],
            "MetadataOptions": {"HttpTokens": "required"},
            "UserData": "#cloud-config\n" + json.dumps({"ssh_keys": pair}),
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}
            ],
        }
        answer = self.ec2.run_instances(**{**given, **params})
        machine = Machine(self, answer["Instances"][0]["InstanceId"])
        line = f"{machine.id} {' '.join(host_key.public.split()[:2])}\n"
        (self.folder / "known_hosts").open("a").write(line)
        return machine

    def _prepare_launches(self) -> None:
        with contextlib.suppress(self.ec2.exceptions.ClientError):
            self.ec2.import_key_pair(KeyName="lab", PublicKeyMaterial=self._key.public.encode())
        with contextlib.suppress(self.ec2.exceptions.ClientError):
            self.ec2.create_security_group(GroupName="lab", Description="the lab's laptop")
            every = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": f"{LAPTOP}/32"}]}
            among = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "172.31.0.0/16"}]}
            self.ec2.authorize_security_group_ingress(GroupName="lab", IpPermissions=[every, among])

    def clear(self) -> None:
        """Terminate all machines, and wait until they are gone."""
        found = self.machines
        if found:
            self.ec2.terminate_instances(InstanceIds=[one.id for one in found])
        for machine in found:
            machine.wait("terminated")

    # What can be done to two machines; to one: see `Machine`.

    def partition(self, one: Machine | str, other: Machine | str) -> None:
        """Let nothing through between two machines, or between one and ``"laptop"``."""
        self.fault("partition", _address(one), _address(other), on=True)

    def heal(self, one: Machine | str, other: Machine | str) -> None:
        """Let everything through between them again."""
        self.fault("partition", _address(one), _address(other), on=False)

    def fault(self, call: str, *args: Any, **named: Any) -> Any:
        """Make a call of `bed.faults.Faults`."""
        return self._send(json.dumps({"call": call, "args": args, "named": named}), _CALL_LIMIT)

    # Talking to the process inside.

    @property
    def _first(self) -> int:
        """The process 1 of the lab, as this computer numbers it."""
        return _child_of(self.pid)

    @property
    def pid(self) -> int:
        """The process that holds the lab."""
        assert self._process is not None
        return self._process.pid

    def _send(self, line: str, limit: float) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._calling:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line + "\n")
            timer = threading.Timer(limit, self._process.kill)
            timer.start()
            try:
                said = self._process.stdout.readline()
            finally:
                timer.cancel()
        if not said:
            last = "\n".join(self.log.read_text().splitlines()[-20:])
            raise LabError(f"the lab ended, or did not answer within {limit} s:\n{last}")
        answer = json.loads(said)
        if "error" in answer:
            raise LabError(answer["error"])
        return answer["result"]


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _sweep_folders() -> None:
    """Remove the folders of labs whose owner was killed, and their keys with them."""
    for path in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        owner = path.name.removeprefix(_FOLDER).partition("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(path, ignore_errors=True)


def _address(what: Machine | str) -> str:
    return LAPTOP if what == "laptop" else what.address if isinstance(what, Machine) else what
