"""Who may call the local cloud.

Every user of a computer can connect to its loopback addresses. Whoever can launch an instance here
runs programs as the owner of the local cloud, so a call must name the owner's access key, which is
random and in a file that only the owner can read.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/[^/]*/([^/]*)/([^/]*)/")
_CAPITALS = string.ascii_uppercase + "234567"


@dataclass(frozen=True)
class Credentials:
    """An access key of the local cloud."""

    access_key: str
    secret_key: str

    @classmethod
    def random(cls) -> Credentials:
        """Return a new one; its id looks like EC2's, as some clients look at that."""
        name = "".join(secrets.choice(_CAPITALS) for _ in range(16))
        return cls(f"AKIA{name}", secrets.token_urlsafe(30))


@dataclass(frozen=True)
class Caller:
    """What a request's signature says of its sender; empty where it is not signed."""

    access_key: str = ""
    region: str = ""
    service: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, object]) -> Caller:
        """Read it from a WSGI environment: the Authorization header, or a presigned query."""
        text = str(environ.get("HTTP_AUTHORIZATION") or "")
        if not text:
            query = parse_qs(str(environ.get("QUERY_STRING") or ""))
            text = f"Credential={query.get('X-Amz-Credential', [''])[0]}"
        found = _CREDENTIAL.search(text)
        return cls(*found.groups()) if found else cls()

    def is_owner(self, credentials: Credentials) -> bool:
        """Return whether the request names the owner's access key."""
        return hmac.compare_digest(self.access_key.encode(), credentials.access_key.encode())
