"""What a node is given to read at its first boot: its host key, and the user's own scripts.

cloud-init runs each part by what it is: a script (``#!``) once, as root, at the end of the first
boot; a ``#cloud-config`` is merged into the others. The part with the host key comes last, so that
none of the user's replaces it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from hashlib import sha256
from pathlib import Path
from typing import Any

from spotcluster import ssh
from spotcluster.errors import UsageError

LIMIT = 16 * 1024
"""What EC2 takes, in bytes, before base64."""

# How cloud-init tells what a part is, by the beginning of its first line.
_KINDS = {
    "#!": "x-shellscript",
    "#cloud-config": "cloud-config",
    "#cloud-boothook": "cloud-boothook",
    "#upstart-job": "upstart-job",
    "#include-once": "x-include-once-url",
    "#include": "x-include-url",
    "#part-handler": "part-handler",
    "## template: jinja": "jinja2",
}


def build(
    host_key: ssh.keys.KeyPair, scripts: Sequence[tuple[str, bytes]] = (), let_in: str = ""
) -> bytes:
    """Return the user data of a node, as EC2 takes it.

    Without scripts it is a cloud-config alone; with some it is multipart MIME, compressed.

    Parameters
    ----------
    host_key : KeyPair
        What the node's SSH server is to show; made by us.
    scripts : sequence of (str, bytes)
        Name and content of each part of the user's, in order, as `read_scripts` returns them.
    let_in : str
        A public key that the login is to let in, beside that of the key pair.

    Raises
    ------
    UsageError
        It is more than `LIMIT` bytes, compressed.
    """
    own = _own(host_key, let_in)
    if not scripts:
        return own.encode()
    # Not made anew each time: EC2 holds a repeated launch to the same user data.
    digest = sha256(b"".join(content for _, content in scripts)).hexdigest()
    message = EmailMessage(policy=SMTP)
    message.make_mixed(boundary=f"==spotcluster-{digest[:32]}==")
    for name, content in scripts:
        message.attach(_part(_kind(content), name, content))
    message.attach(_part("cloud-config", "spotcluster-host-key", own.encode()))
    packed = gzip.compress(message.as_bytes(), compresslevel=9, mtime=0)
    if len(packed) > LIMIT:
        raise UsageError(
            f"USERDATA_SCRIPTS: {', '.join(name for name, _ in scripts)} are {len(packed)} bytes"
            f" with the host key, compressed; EC2 takes {LIMIT}.",
            "Keep a short script there that fetches the rest.",
        )
    return packed


def read_scripts(paths: Sequence[Path]) -> list[tuple[str, bytes]]:
    """Return name and content of the files of USERDATA_SCRIPTS.

    Raises
    ------
    UsageError
        One cannot be read, or is nothing that cloud-init would know what to do with.
    """
    found = []
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"USERDATA_SCRIPTS: {path} cannot be read: {error.strerror}."
            ) from error
        if not _kind(content):
            raise UsageError(
                f"USERDATA_SCRIPTS: {path} does not begin as anything that cloud-init knows.",
                "Begin a script with #!/bin/bash, other parts with #cloud-config or the like.",
            )
        found.append((path.name, content))
    return found


def _kind(content: bytes) -> str:
    # Without folding the case: cloud-init does not either.
    begin = content[:64].decode(errors="replace")
    return next((kind for mark, kind in _KINDS.items() if begin.startswith(mark)), "")


def _part(kind: str, name: str, content: bytes) -> EmailMessage:
    part = EmailMessage(policy=SMTP)
    # base64, so that no line is too long for MIME, and no byte is changed on the way.
    part.set_content(content, maintype="text", subtype=kind, filename=name, cte="base64")
    return part


def _own(host_key: ssh.keys.KeyPair, let_in: str) -> str:
    """Return the cloud-config that gives a node its host key; JSON is YAML, and quotes safely."""
    keys = {"ed25519_private": host_key.private, "ed25519_public": host_key.public}
    given: dict[str, Any] = {"ssh_deletekeys": True, "ssh_keys": keys}
    if let_in:
        given["ssh_authorized_keys"] = [let_in]
    return "#cloud-config\n" + json.dumps(given)
