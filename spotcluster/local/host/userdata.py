"""What an instance's user data says to a host, read as cloud-init reads it.

A local host acts on ``ssh_keys`` and ``ssh_authorized_keys`` only. Commands in user data run as
root on EC2; here they would run as the user of the laptop, so they are named and left out.
"""

from __future__ import annotations

import email
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped] # its stubs are a package of their own

_CONFIG = "text/cloud-config"
_KNOWN = {"ssh_keys", "ssh_authorized_keys", "ssh_deletekeys", "ssh_genkeytypes"}
# How a part says how it goes together with those before it; later ones replace where none says so.
_MERGING = ("merge_how", "merge_type")
_REPLACING = {"dict": {"replace"}, "list": set[str](), "str": set[str]()}
# What a part is goes by its first line only where its headers do not say it.
_BY_FIRST_LINE = ("text/plain", "text/x-not-multipart")


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
        Of several parts, a later one replaces an earlier one's keys, unless it says by
        ``merge_how`` that lists are appended to, or the like. Parts that cannot be read are listed
        in `ignored`, as cloud-init boots an instance with broken user data all the same.
    """
    merged: dict[str, Any] = {}
    ignored: list[str] = []
    for kind, how, text in _parts(raw):
        if kind != _CONFIG:
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
        told = [config.pop(name) for name in _MERGING if name in config]
        merged = _merge(merged, config, _mergers(told[0] if told else how))
        ignored += [str(key) for key in config if key not in _KNOWN]
    keys = merged.get("ssh_authorized_keys")
    authorized = [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []
    return UserData(_host_key(merged), tuple(authorized), tuple(ignored))


def _host_key(config: dict[str, Any]) -> str:
    keys = config.get("ssh_keys")
    value = keys.get("ed25519_private") if isinstance(keys, dict) else None
    return f"{value.strip()}\n" if isinstance(value, str) else ""


def _mergers(told: Any) -> dict[str, set[str]]:
    """Return what is to be done with values of each kind, as ``dict(replace)+list(append)``."""
    found: dict[str, set[str]] = {}
    if isinstance(told, str):
        for name, options in re.findall(r"(\w+)\s*\(([^)]*)\)", told):
            found[name] = {option.strip() for option in options.split(",") if option.strip()}
    elif isinstance(told, list):
        for one in told:
            if isinstance(one, dict) and isinstance(one.get("settings", []), list):
                found[str(one.get("name"))] = {str(option) for option in one.get("settings", [])}
    return found or _REPLACING


def _merge(old: Any, new: Any, how: dict[str, set[str]]) -> Any:
    """Merge a value into an earlier one, as cloud-init's mergers do."""
    if isinstance(old, dict) and isinstance(new, dict):
        if "dict" not in how:
            return old
        merged = dict(old)
        for key, value in new.items():
            if key in old:
                if value is None and "allow_delete" in how["dict"]:
                    del merged[key]
                    continue
                value = _merge_same(old[key], value, how)
            merged[key] = value
        return merged
    if isinstance(old, list) and isinstance(new, list) and "list" in how:
        if "append" in how["list"]:
            return [*old, *new]
        if "prepend" in how["list"]:
            return [*new, *old]
        return old if "no_replace" in how["list"] else [*new, *old[len(new) :]]
    return old


def _merge_same(old: Any, new: Any, how: dict[str, set[str]]) -> Any:
    options = how["dict"]
    if "replace" in options:
        return new
    if isinstance(new, dict) or (
        isinstance(new, list) and options & {"recurse_list", "recurse_array"}
    ):
        return _merge(old, new, how)
    return old


def _parts(raw: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield of each part what it is, how it is merged by its headers, and its text."""
    raw = _unpacked(raw)
    if b"mime-version:" not in raw[:4096].lower():
        text = raw.decode(errors="replace")
        yield _kind_of(text), "", text
        return
    for part in email.message_from_bytes(raw).walk():
        if part.is_multipart():
            continue
        payload = part.get_payload(decode=True)
        body = _unpacked(payload) if isinstance(payload, bytes) else b""
        text = body.decode(errors="replace")
        kind = part.get_content_type()
        packed = body != payload
        how = str(part.get("Merge-Type") or part.get("X-Merge-Type") or "")
        yield (_kind_of(text) if packed or kind in _BY_FIRST_LINE else kind), how, text


def _kind_of(text: str) -> str:
    """Return what a text is by its first line; its case and blank lines before do not matter."""
    start = text.lstrip().lower()
    archive = start.startswith("#cloud-config-archive")
    return _CONFIG if start.startswith("#cloud-config") and not archive else "text/plain"


def _unpacked(raw: bytes) -> bytes:
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error):
        return b""
