"""What an instance's user data says to a host, read as cloud-init reads it.

A local host acts on ``ssh_keys`` and ``ssh_authorized_keys`` only. Commands in user data run as
root on EC2; here they would run as the user of the laptop, so they are named and left out.
"""

from __future__ import annotations

import email
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

import yaml  # type: ignore[import-untyped] # its stubs are a package of their own

_HEADER = "#cloud-config"
_KNOWN = {"ssh_keys", "ssh_authorized_keys", "ssh_deletekeys", "ssh_genkeytypes"}


@dataclass(frozen=True)
class UserData:
    """The parts of user data that a local host knows, and the names of those it leaves out."""

    host_key: str = ""
    authorized_keys: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def parse(raw: bytes) -> UserData:
    """Read user data: a plain ``#cloud-config``, MIME parts of it, or gzip of either.

    Parameters
    ----------
    raw : bytes
        User data as the instance sees it (decoded from base64).

    Returns
    -------
    UserData
        Of several parts, a later one overrides an earlier one's host key and adds to its
        authorised keys. Parts that cannot be read are listed in `ignored`, as cloud-init boots an
        instance with broken user data all the same.
    """
    host_key = ""
    authorized: list[str] = []
    ignored: list[str] = []
    for text in _parts(raw):
        if not text.startswith(_HEADER):
            if text.strip():
                ignored.append(text.strip().splitlines()[0][:60])
            continue
        try:
            config = yaml.safe_load(text) or {}
        except yaml.YAMLError as error:
            ignored.append(f"a part that is not YAML ({type(error).__name__})")
            continue
        if not isinstance(config, dict):
            ignored.append("a part that is not a mapping")
            continue
        host_key = _host_key(config) or host_key
        keys = config.get("ssh_authorized_keys") or []
        authorized += [str(key) for key in (keys if isinstance(keys, list) else [keys])]
        ignored += [str(key) for key in config if key not in _KNOWN]
    return UserData(host_key, tuple(authorized), tuple(ignored))


def _host_key(config: dict[str, Any]) -> str:
    keys = config.get("ssh_keys")
    value = keys.get("ed25519_private") if isinstance(keys, dict) else None
    return f"{value.strip()}\n" if isinstance(value, str) else ""


def _parts(raw: bytes) -> Iterator[str]:
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError):
            return
    text = raw.decode(errors="replace")
    if _is_mime(text):
        for part in email.message_from_string(text).walk():
            if not part.is_multipart():
                yield _body(part)
    else:
        yield text


def _is_mime(text: str) -> bool:
    head = text.lstrip()[:4096].lower()
    return head.startswith(("content-type:", "mime-version:")) and "content-type:" in head


def _body(part: Message) -> str:
    payload = part.get_payload(decode=True)
    body = payload.decode(errors="replace") if isinstance(payload, bytes) else ""
    # A part may name its kind in its headers only, and leave the first line out.
    if part.get_content_type() == "text/cloud-config" and not body.startswith(_HEADER):
        return f"{_HEADER}\n{body}"
    return body
