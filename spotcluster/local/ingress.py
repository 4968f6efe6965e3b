"""Security groups, as far as they say whether a host may be logged into."""

from __future__ import annotations

import ipaddress
from typing import Any

from spotcluster import files

from .host.layout import Layout
from .instances import LocalInstance

_SSH = 22
_FROM = ipaddress.ip_address("127.0.0.1")


def is_open(instance: LocalInstance) -> bool:
    """Return whether a group of the instance lets SSH in.

    All callers here come from the loopback address, the laptop's and the other hosts' alike; so a
    rule whose source is a group, any group, lets them in too.
    """
    return any(_admits(rule) for group in instance.security_groups for rule in group.ingress_rules)


def _admits(rule: Any) -> bool:
    if rule.ip_protocol != "-1" and not (
        rule.ip_protocol == "tcp" and rule.from_port <= _SSH <= rule.to_port
    ):
        return False
    return bool(rule.source_group) or _contains(rule.ip_range.get("CidrIp"))


def _contains(cidr: str | None) -> bool:
    try:
        return cidr is not None and _FROM in ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False


def write(layout: Layout, instance: LocalInstance) -> None:
    """Tell the host, by a file that it reads at every connection."""
    word = "open" if is_open(instance) else "closed"
    try:
        if layout.ingress.read_text() == word:
            return
    except OSError:
        if not layout.etc.is_dir():
            return
    files.write_private(layout.ingress, word)
