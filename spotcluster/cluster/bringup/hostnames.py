"""What a node calls itself: its alias, with the cluster's name in front where DNS_PREFIX is set."""

from __future__ import annotations

import re

from spotcluster.errors import UsageError

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123


def of(cluster: str, alias: str, *, dns_prefix: bool) -> str:
    """Return the host name of a node, in lower case as host names are.

    Raises
    ------
    UsageError
        With the cluster's name in front it would be no host name.
    """
    name = f"{cluster}-{alias}".lower() if dns_prefix else alias
    if not _LABEL.fullmatch(name):
        raise UsageError(
            f"DNS_PREFIX: '{name}' cannot be a host name: up to 63 letters, digits and '-'.",
            "Choose another name for the cluster, or leave DNS_PREFIX out.",
        )
    return name
