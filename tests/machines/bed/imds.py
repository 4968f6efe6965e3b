"""The metadata service: what an instance asks at 169.254.169.254, with IMDSv2's tokens.

It knows who asks by the address, and answers from what the cloud says of the instance at that
moment.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from spotcluster.local.access.roles import Roles, role_of

from .network import METADATA

_TOKEN_HEADER = "X-aws-ec2-metadata-token"
_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_LONGEST = 21600


def tree_of(
    instance: Any, mac: str, host: str, notice: Mapping[str, str] | None, roles: Roles
) -> dict[str, str]:
    """Return the metadata of an instance, by path below ``meta-data/``."""
    nic = f"network/interfaces/macs/{mac}/"
    groups = "\n".join(group.name for group in instance.security_groups)
    tree = {
        "ami-id": instance.image_id,
        "ami-launch-index": str(instance.ami_launch_index),
        "hostname": host,
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": instance.lifecycle or "on-demand",
        "instance-type": instance.instance_type,
        "local-hostname": host,
        "local-ipv4": instance.address,
        "mac": mac,
        "placement/availability-zone": instance.availability_zone,
        "placement/region": instance.ec2_backend.region_name,
        "security-groups": groups,
        f"{nic}device-number": "0",
        f"{nic}interface-id": instance.nics[0].id,
        f"{nic}local-hostname": host,
        f"{nic}local-ipv4s": instance.address,
        f"{nic}mac": mac,
        f"{nic}security-groups": groups,
        f"{nic}subnet-id": instance.subnet_id,
        f"{nic}subnet-ipv4-cidr-block": "172.31.0.0/16",
        f"{nic}vpc-id": instance.vpc_id,
    }
    if instance.public_ip:
        tree["public-ipv4"] = instance.public_ip
    for index, key in enumerate(instance.authorized_keys):
        tree[f"public-keys/{index}/openssh-key"] = key
    if role := role_of(instance):
        tree[f"iam/security-credentials/{role.name}"] = json.dumps(roles.told(instance))
    if notice is not None:
        tree["spot/instance-action"] = json.dumps(dict(notice))
        tree["spot/termination-time"] = notice["time"]
    return tree


def identity_of(instance: Any) -> str:
    """Return the identity document, without which cloud-init waits for a long time."""
    return json.dumps(
        {
            "accountId": instance.owner_id,
            "architecture": instance.architecture,
            "availabilityZone": instance.availability_zone,
            "imageId": instance.image_id,
            "instanceId": instance.id,
            "instanceType": instance.instance_type,
            "privateIp": instance.address,
            "region": instance.ec2_backend.region_name,
            "version": "2017-09-30",
        }
    )


class Answer:
    """What the service says of one instance.

    Parameters
    ----------
    tree : mapping
        Metadata by path.
    user_data : bytes
        Empty where there is none.
    tokens_required : bool
        Whether IMDSv1 is refused.
    """

    def __init__(
        self,
        tree: Mapping[str, str],
        identity: str,
        user_data: bytes,
        key_name: str,
        *,
        tokens_required: bool,
    ) -> None:
        self._tree = tree
        self._identity = identity
        self._user_data = user_data
        self._key_name = key_name
        self.tokens_required = tokens_required

    def get(self, path: str) -> bytes | None:
        """Return what is at ``/VERSION/KIND/...``, None when nothing is."""
        parts = path.partition("?")[0].split("/")
        if len(parts) < 3 or not (parts[1] == "latest" or parts[1][:4].isdigit()):
            return None
        kind, rest = parts[2], "/".join(parts[3:])
        if kind == "user-data":
            return self._user_data or None
        if kind == "dynamic":
            found = {"": "instance-identity/", "instance-identity": "document"}.get(rest.strip("/"))
            if rest == "instance-identity/document":
                found = self._identity
            return found.encode() if found else None
        return self._metadata(rest) if kind == "meta-data" else None

    def _metadata(self, path: str) -> bytes | None:
        if path in self._tree:
            return self._tree[path].encode()
        prefix = path if not path or path.endswith("/") else f"{path}/"
        names: dict[str, None] = {}
        for key in self._tree:
            if key.startswith(prefix):
                name, more, _ = key[len(prefix) :].partition("/")
                is_key = prefix == "public-keys/"
                names[f"{name}={self._key_name}" if is_key else f"{name}/" if more else name] = None
        return "\n".join(names).encode() if names else None


class _Tokens:
    """The tokens that were given out: each opens the metadata of who asked for it."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[str, float]] = {}

    def give(self, address: str, seconds: int) -> str:
        token = secrets.token_urlsafe(40)
        self._given[token] = (address, time.monotonic() + seconds)
        return token

    def holds(self, token: str, address: str) -> bool:
        owner, ends = self._given.get(token, ("", 0.0))
        return owner == address and time.monotonic() < ends


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "EC2ws"
    sys_version = ""
    find: Callable[[str], Answer | None]
    tokens: _Tokens

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing: every boot asks some thirty times."""

    def do_PUT(self) -> None:
        address = self.client_address[0]
        length = self.headers.get(_TTL_HEADER, "")
        if type(self).find(address) is None or not self.path.endswith("/api/token"):
            self._say(404)
        elif "X-Forwarded-For" in self.headers:
            self._say(403)  # a proxy's: it may be anybody who asks
        elif not length.isdigit() or not 1 <= int(length) <= _LONGEST:
            self._say(400)
        else:
            token = self.tokens.give(address, int(length))
            self._say(200, token.encode(), **{_TTL_HEADER: length})

    def do_GET(self) -> None:
        address = self.client_address[0]
        answer = type(self).find(address)
        token = self.headers.get(_TOKEN_HEADER)
        if answer is None:
            self._say(404)
        elif answer.tokens_required if token is None else not self.tokens.holds(token, address):
            self._say(401)
        else:
            found = answer.get(self.path)
            self._say(404 if found is None else 200, found or b"")

    def _say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def serve(find: Callable[[str], Answer | None]) -> None:
    """Answer for ever, on threads; `find` gives the answer for an address."""
    own = {"find": staticmethod(find), "tokens": _Tokens()}
    server = _Server((METADATA, 80), type("Handler", (_Handler,), own))
    threading.Thread(target=server.serve_forever, name="imds", daemon=True).start()


def user_data_of(instance: Any) -> bytes:
    """Return an instance's user data as it sees it."""
    return base64.b64decode(str(instance.user_data)) if instance.user_data else b""
