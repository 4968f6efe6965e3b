"""Starting, finding and stopping the local cloud from any process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import spotcluster
from spotcluster.errors import LocalCloudError

from . import record

REGION = "us-east-1"
"""The region that the local cloud poses as."""

START_LIMIT = 60.0
STOP_LIMIT = 60.0
_ANSWER_LIMIT = 10.0
_LOOK_AGAIN = 0.02


@dataclass(frozen=True)
class Endpoint:
    """Where the local cloud listens, and what it takes to be let in.

    Attributes
    ----------
    url : str
        The endpoint of every service.
    region : str
        The region to name.
    access_key, secret_key : str
        Its credentials, which are good for nothing else.
    checkip_url : str
        A page that says which address the caller comes from.
    """

    url: str
    region: str
    access_key: str
    secret_key: str

    @property
    def checkip_url(self) -> str:
        """A page that says which address the caller comes from, as checkip.amazonaws.com does."""
        return f"{self.url}/checkip"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point the AWS command line, and any SDK, at the local cloud."""
        variables = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }
        if urllib.request.getproxies():
            # Another program would ask the proxy for our loopback address.
            direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
            variables["NO_PROXY"] = ",".join(filter(None, [direct, "127.0.0.1"]))
        return variables


@dataclass(frozen=True)
class Host:
    """A host of the local cloud: an instance that is not terminated."""

    id: str
    name: str
    state: str
    instance_type: str
    lifecycle: str
    region: str
    address: str
    port: int
    folder: str
    processes: int


@dataclass(frozen=True)
class Status:
    """What the local cloud is doing.

    Attributes
    ----------
    running : bool
        Whether the daemon answers.
    crashed : bool
        Whether it ended without being stopped.
    pid : int or None
        The daemon's process id.
    url : str
        Where it listens; empty when it does not run.
    folder : str
        Where its state, log and hosts' files are.
    hosts : tuple of Host
        Its hosts.
    environment : dict of str to str
        The variables that point the AWS command line at it; empty when it does not run.
    """

    running: bool
    crashed: bool
    pid: int | None
    url: str
    folder: str
    hosts: tuple[Host, ...]
    environment: dict[str, str]

    @property
    def environment_lines(self) -> tuple[str, ...]:
        """The lines to type for the AWS command line."""
        return tuple(f"export {name}={value}" for name, value in self.environment.items())


def endpoint() -> Endpoint:
    """Return the local cloud's endpoint; start it if it has not been started.

    Raises
    ------
    LocalCloudError
        If it was running and has crashed (`start` recovers it), or cannot start.
    """
    place = record.folder()
    daemon = record.read(place)
    if daemon is not None and daemon.is_alive():
        _wait_until_it_answers(daemon, place)
        return _endpoint(place, daemon.url)
    with _locked(place):
        daemon = record.read(place)
        if daemon is not None and not daemon.is_alive():
            raise LocalCloudError(
                f"The local cloud (process {daemon.pid}) ended without being stopped: it crashed, "
                "or the computer was restarted.",
                "Its instances are kept: start it again with `spotcluster local start`.",
            )
        return _start(place, daemon)


def start() -> Endpoint:
    """Start the local cloud if it does not run, also after a crash; return its endpoint.

    Raises
    ------
    LocalCloudError
        If it cannot start; the message says what its log says.
    """
    place = record.folder()
    with _locked(place):
        return _start(place, record.read(place))


def _start(place: Path, daemon: record.Daemon | None) -> Endpoint:
    if daemon is not None and daemon.is_alive():
        _wait_until_it_answers(daemon, place)
        return _endpoint(place, daemon.url)
    log = place / "log"
    reading, writing = os.pipe()
    # The package may be run from where it is not installed, and the daemon must find it too.
    home = str(Path(spotcluster.__file__).parents[1])
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    try:
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            child = subprocess.Popen(
                [
                    *(sys.executable, *record.COMMAND),
                    *(str(place), str(writing)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": path},
                cwd=place,
                pass_fds=(writing,),
            )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        ready, _, _ = select.select([pipe], [], [], START_LIMIT)
        line = pipe.readline() if ready else b""
    child.wait()  # the daemon left it at once
    said: dict[str, Any] = json.loads(line) if line else {}
    if "other" in said:
        said = _other_daemon(place)
    if "url" not in said:
        why = said.get("error") or f"it said nothing within {START_LIMIT:.0f} s"
        raise LocalCloudError(f"The local cloud could not start: {why}", f"Its log is {log}.")
    return _endpoint(place, said["url"])


def _other_daemon(place: Path) -> dict[str, Any]:
    """Wait for a daemon that is just starting, and return what it would have said."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        daemon = record.read(place)
        if daemon is not None and daemon.is_alive():
            return {"url": daemon.url}
        time.sleep(_LOOK_AGAIN)
    return {"error": "another daemon holds its folder and does not say where it listens"}


def stop() -> None:
    """Stop the local cloud and everything that runs on it; its instances' files are kept.

    Returns when no process is left. Also tidies up after a crash.

    Raises
    ------
    LocalCloudError
        If something does not end.
    """
    from . import hosts  # only here: every command imports this module

    place = record.folder()
    with _locked(place):
        daemon = record.read(place)
        if daemon is None or not daemon.is_alive():
            daemon = record.search(place, silent=True) or daemon
        if daemon is not None and daemon.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(daemon.pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_LIMIT
            while daemon.is_alive():
                if time.monotonic() > deadline:
                    with contextlib.suppress(psutil.Error):
                        psutil.Process(daemon.pid).kill()
                    break
                time.sleep(_LOOK_AGAIN)
        # Hosts outlive a daemon that is killed.
        keeper = hosts.Hosts(place, subreaper=False)
        for host in keeper.known():
            keeper.end(host, politely=False)
        record.remove(place)


def status() -> Status:
    """Return what the local cloud is doing; does not start it."""
    place = record.folder()
    daemon = record.read(place)
    if daemon is None or not daemon.is_alive():
        return Status(
            running=False,
            crashed=daemon is not None,
            pid=None,
            url="",
            folder=str(place),
            hosts=(),
            environment={},
        )
    found = _endpoint(place, daemon.url)
    data = call("GET", "/control/status", place=place)
    return Status(
        running=True,
        crashed=False,
        pid=daemon.pid,
        url=daemon.url,
        folder=str(place),
        hosts=tuple(Host(**host) for host in data["hosts"]),
        environment=found.environment,
    )


def set_faults(rules: list[dict[str, Any]]) -> None:
    """Make calls to the local cloud fail; `faults` says how a rule looks, ``[]`` ends it."""
    call("POST", "/control/faults", rules)


def set_capacity(rules: list[dict[str, Any]]) -> None:
    """Let pools hold so many instances; `capacity` says how a rule looks, ``[]`` ends it."""
    call("POST", "/control/capacity", rules)


def set_quotas(values: dict[str, float]) -> None:
    """Let the account have so many virtual cores, by codes of Service Quotas; ``{}`` ends it."""
    call("POST", "/control/quotas", values)


def set_prices(rules: list[dict[str, Any]]) -> None:
    """Tell pools their spot prices; `market.tell` says how a rule looks, ``[]`` ends it."""
    call("POST", "/control/prices", rules)


def give_notice(rules: list[dict[str, Any]]) -> None:
    """Tell spot instances that they are taken back; `metadata.announce` says how a rule looks."""
    call("POST", "/control/notices", rules)


def set_limits(*, on: bool) -> None:
    """Refuse calls that are too many, as EC2 does, or no longer."""
    call("POST", "/control/limits", on)


def call(method: str, path: str, data: object = None, *, place: Path | None = None) -> Any:
    """Make a control call to the daemon; return what it answers.

    Raises
    ------
    LocalCloudError
        If it refuses or does not answer.
    """
    place = place or record.folder()
    daemon = record.read(place)
    if daemon is None:
        raise LocalCloudError("The local cloud does not run.", "Run `spotcluster local start`.")
    key = record.settings(place).credentials.access_key
    request = urllib.request.Request(  # noqa: S310 - the URL is our own daemon's
        f"{daemon.url}{path}",
        method=method,
        data=None if data is None else json.dumps(data).encode(),
        headers={"Authorization": f"LOCAL Credential={key}/-/-/control/"},
    )
    try:
        with _DIRECT.open(request, timeout=_ANSWER_LIMIT) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise LocalCloudError(
            f"The local cloud refused {method} {path}: {error.read().decode(errors='replace')}"
        ) from error
    except OSError as error:
        raise LocalCloudError(
            f"The local cloud does not answer at {daemon.url}: {error}.",
            "Run `spotcluster local stop`, then `spotcluster local start`.",
        ) from error


# A proxy that the environment names is not for the way to ourselves.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _endpoint(place: Path, url: str) -> Endpoint:
    credentials = record.settings(place).credentials
    return Endpoint(url, REGION, credentials.access_key, credentials.secret_key)


def _wait_until_it_answers(daemon: record.Daemon, place: Path) -> None:
    deadline = time.monotonic() + _ANSWER_LIMIT
    while True:
        try:
            with _DIRECT.open(f"{daemon.url}/health", timeout=_ANSWER_LIMIT):
                return
        except OSError as error:
            if time.monotonic() > deadline or not daemon.is_alive():
                raise LocalCloudError(
                    f"The local cloud (process {daemon.pid}) does not answer at {daemon.url}.",
                    f"See its log {place / 'log'}; `spotcluster local stop`, then "
                    "`spotcluster local start`, starts it anew and keeps its instances.",
                ) from error
        time.sleep(_LOOK_AGAIN)


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Let one process at a time start or stop the daemon."""
    with os.fdopen(os.open(place / "lock", os.O_RDWR | os.O_CREAT, 0o600)) as lock:
        deadline = time.monotonic() + START_LIMIT + STOP_LIMIT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LocalCloudError(
                        "Another process has been starting or stopping the local cloud for more "
                        f"than {START_LIMIT + STOP_LIMIT:.0f} s.",
                        f"It holds {place / 'lock'}.",
                    ) from None
                time.sleep(_LOOK_AGAIN)
        yield
