"""The one place that makes clients, and so the one that knows where a region's endpoint is."""

from __future__ import annotations

import contextlib
import copy
import functools
import http.client
import ipaddress
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from spotcluster import wording
from spotcluster.aws import calls
from spotcluster.aws.calls import USUAL, Patience
from spotcluster.errors import CloudError, UsageError

if TYPE_CHECKING:
    import boto3
    from botocore.session import Session as Core
    from mypy_boto3_ec2.client import EC2Client

LOCAL = "local"
"""The region that means the local cloud."""

LOOKING = "looking"
"""The folder in that of `models` which has the models of what is called by who only looks."""

CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 30.0
"""Seconds until a connection to AWS, and an answer, are given up; the call is then repeated."""

CHECKIP = "https://checkip.amazonaws.com"
_CHECKIP_LIMIT = 5.0  # seconds
_ANYWHERE = "2600:1f00::1"  # an address of AWS's, which need not answer


@dataclass(frozen=True)
class Credentials:
    """AWS keys from the config file; without them boto3's own chain is used."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return "Credentials(…)"


class Session:
    """Clients for one region.

    Parameters
    ----------
    region : str
        An EC2 region, or ``local``.
    credentials : Credentials, optional
        Keys from the config file.
    profile : str, optional
        A profile of the AWS config files.
    patience : Patience, optional
        For how long its calls are repeated.
    looks : bool
        Whether it is for calls only that look; see `models`.

    Raises
    ------
    UsageError
        EC2 has no such region, or the AWS config files have no such profile.
    """

    def __init__(
        self,
        region: str,
        *,
        credentials: Credentials | None = None,
        profile: str | None = None,
        patience: Patience | None = None,
        looks: bool = False,
    ) -> None:
        self.region = region
        self.patience = patience or USUAL
        self._endpoint: dict[str, Any] = {}
        self._checkip = CHECKIP
        self._clients: dict[tuple[Any, ...], Any] = {}
        self._lock = threading.Lock()
        self._proxies: dict[str, str] | None = None
        if region == LOCAL:
            from spotcluster import local

            endpoint = local.endpoint()
            self._core = core_session(
                of_the_user=False,
                keys=Credentials(endpoint.access_key, endpoint.secret_key),
                region=endpoint.region,
            )
            self._endpoint = {"endpoint_url": endpoint.url}
            self._proxies = {}  # a proxy that the environment names is not for the way to ourselves
            self._checkip = endpoint.checkip_url
            return
        check_region(region)
        self._core = core_session(keys=credentials, region=region, profile=profile)
        folder = self._core.get_config_variable("data_path")
        if looks and folder:
            self._core.set_config_variable("data_path", f"{folder}/{LOOKING}")

    def afresh(self) -> Session:
        """Return one that makes clients of its own, for what is asked after an interrupt.

        Ctrl-C while a connection is taken from urllib3's pool, or given back, may leave the pool
        locked for good: whoever asks by the same client then waits for ever.
        """
        new = copy.copy(self)
        new.__dict__.pop("ec2", None)
        new._clients = {}
        new._lock = threading.Lock()
        return new

    def client(self, service: str, **overrides: Any) -> Any:
        """Return a client of `service` at this region's endpoint, made once."""
        key = (service, *sorted(overrides.items()))
        with self._lock:  # a session makes one client at a time
            if key not in self._clients:
                self._clients[key] = self._make_client(service, overrides)
            return self._clients[key]

    def _make_client(self, service: str, overrides: dict[str, Any]) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": 1},  # `calls` repeats them
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            proxies=self._proxies,
        ).merge(overrides.pop("config", None) or Config())
        make: Any = self._boto.client if service == "s3" else self._core.create_client
        with _settings_understood():
            made = make(service, config=config, **{**self._endpoint, **overrides})
        calls.made_by(made, calls.Behind(self.patience, self._core.profile or "default"))
        return made

    @cached_property
    def _boto(self) -> boto3.Session:
        """What makes clients that copy files: once, as each adds that to all of the core's."""
        import boto3

        return boto3.Session(botocore_session=self._core)

    @cached_property
    def ec2(self) -> EC2Client:
        """The EC2 client."""
        client: EC2Client = self.client("ec2")
        return client

    def caller_cidr(self, *, ipv6: bool = False) -> str:
        """Return the address that EC2 sees us at, as a block of one.

        A proxy is not asked through: SSH does not go through it, and its address is others' too.

        Parameters
        ----------
        ipv6 : bool
            Whether nodes are reached by IPv6, where nothing translates addresses on the way: it is
            the one that this computer sends from.

        Raises
        ------
        CloudError
            It cannot be found.
        """
        if ipv6:
            return _own_ipv6()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self._checkip, timeout=_CHECKIP_LIMIT) as answer:
                said = answer.read(200).decode(errors="replace").strip()
            return str(ipaddress.ip_network(ipaddress.ip_address(said)))
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = "answered with no address" if isinstance(error, ValueError) else str(error)
            raise CloudError(
                f"This computer's public address cannot be found: {self._checkip}, asked without a"
                f" proxy: {why}.",
                "Check the network, or name the address with `ALLOW = 203.0.113.7/32` in the"
                " cluster's section, or with --allow.",
            ) from error


def _own_ipv6() -> str:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((_ANYWHERE, 9))  # no packet is sent
            own = ipaddress.IPv6Address(probe.getsockname()[0])
    except OSError as error:
        raise CloudError(
            "Nodes of this subnet have IPv6 addresses only, and this computer has none: "
            f"{error.strerror}.",
            "Use a network with IPv6, or go through a host that has both with PROXY_JUMP and ALLOW"
            " in the cluster's section.",
        ) from error
    return str(ipaddress.ip_network(own))


def core_session(
    *,
    of_the_user: bool = True,
    keys: Credentials | None = None,
    region: str | None = None,
    profile: str | None = None,
) -> Core:
    """Return a session of botocore's.

    Parameters
    ----------
    of_the_user : bool
        Whether the user's AWS config files and profile count. To the local cloud they mean nothing,
        and may lack the profile that the environment names, or be damaged.

    Raises
    ------
    UsageError
        They count, and cannot be used.
    """
    import botocore.session

    nowhere = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    with _settings_understood():
        core: Core = botocore.session.Session(session_vars=None if of_the_user else nowhere)
        parsers = core.get_component("response_parser_factory")
        parsers.set_parser_defaults(timestamp_parser=moment)
        if profile is not None:
            core.set_config_variable("profile", profile)
        core.get_scoped_config()  # read now, so that it is said here what is wrong with it
        core.lazy_register_component(
            "data_loader", lambda: _models(core.get_config_variable("data_path"))
        )
        if keys is not None:
            core.set_credentials(keys.access_key, keys.secret_key, keys.token)
        if region is not None:
            core.set_config_variable("region", region)
        return core


@functools.cache
def _models(data_path: str | None) -> Any:
    """Return what reads botocore's models, and keeps those that it has read, for all sessions.

    With one for each session, as botocore has it, EC2's model is read at each `connect`, and a
    notebook holds its 20 MB for every client that it has not forgotten.
    """
    import botocore.loaders

    return botocore.loaders.create_loader(data_path)


def moment(value: Any) -> datetime:
    """Return a timestamp of an answer as botocore would, in a tenth of its time.

    A description of an instance has several, and its parser, which takes all that people write,
    spends a third of what a description of many instances costs.
    """
    if isinstance(value, str) and value.endswith("Z"):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(value)
    from botocore.utils import parse_timestamp

    parsed: datetime = parse_timestamp(value)
    return parsed


@contextlib.contextmanager
def _settings_understood() -> Iterator[None]:
    """Say of the user's AWS files and variables what is wrong with them.

    Raises
    ------
    UsageError
        There is no such profile, a file cannot be read, or a variable has a value that botocore
        does not take.
    """
    import botocore.exceptions as boto_errors

    try:
        yield
    except boto_errors.ProfileNotFound as error:
        raise UsageError(
            f"The AWS config files have no profile '{error.kwargs['profile']}'.",
            "List them with `aws configure list-profiles`; AWS_PROFILE, or AWS_PROFILE in"
            " [aws info], names the one that is used.",
        ) from error
    except (boto_errors.ConfigParseError, boto_errors.ConfigNotFound) as error:
        raise UsageError(
            f"The AWS config file {error.kwargs['path']} cannot be read.",
            "Correct it by hand, or write it anew with `aws configure`.",
        ) from error
    except (boto_errors.BotoCoreError, ValueError, OSError, KeyError) as error:
        raise UsageError(
            f"The AWS settings of this computer cannot be used: {str(error).rstrip('.')}.",
            "Look at the variables AWS_* of the environment, and at ~/.aws/config.",
        ) from error


def configured_region(profile: str | None) -> str | None:
    """Return the region that the AWS config files name for a profile, or for the one in use."""
    try:
        found: str | None = core_session(profile=profile).get_config_variable("region")
    except UsageError:  # whoever opens a session with it is told
        return None
    return found


@functools.cache
def known_regions() -> tuple[str, ...]:
    """Return the regions that botocore's data knows; no call is made."""
    core = core_session(of_the_user=False)
    names = [
        name
        for partition in core.get_available_partitions()
        for name in core.get_available_regions("ec2", partition_name=partition)
    ]
    return (LOCAL, *sorted(names))


def check_region(region: str) -> None:
    """Refuse a region that does not exist, with the nearest that does."""
    if region in known_regions():
        return
    near = wording.nearest(region, known_regions())
    raise UsageError(
        f"There is no region '{region}'.",
        f"Did you mean '{near}'?" if near else "A region is, for example, us-east-1 or local.",
    )
