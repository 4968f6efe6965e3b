"""The loopback addresses of hosts."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection
from pathlib import Path

_NETWORK = "127.77"
_SIZE = 254 * 254

SSH_PORT = 2222
"""An ordinary user cannot listen on port 22."""


class Addresses:
    """Gives every live instance an address of its own, where the system has more than one.

    Linux answers on all of 127.0.0.0/8; elsewhere only 127.0.0.1 is there without being set up as
    root, and hosts differ by port.

    Parameters
    ----------
    folder : Path
        The local cloud's folder: two local clouds on one computer start at different addresses.
    """

    def __init__(self, folder: Path, *, many: bool = sys.platform.startswith("linux")) -> None:
        self._many = many
        self._next = int.from_bytes(hashlib.sha256(str(folder).encode()).digest()[:4]) % _SIZE

    @property
    def first_port(self) -> int:
        """The port that a new host tries first; 0 takes any."""
        return SSH_PORT if self._many else 0

    def allocate(self, taken: Collection[str]) -> str:
        """Return an address that no live instance has; those that just ended come back last."""
        if not self._many:
            return "127.0.0.1"
        for _ in range(_SIZE):
            third, fourth = divmod(self._next, 254)
            self._next = (self._next + 1) % _SIZE
            address = f"{_NETWORK}.{third + 1}.{fourth + 1}"
            if address not in taken:
                return address
        raise AssertionError("more instances than loopback addresses")
