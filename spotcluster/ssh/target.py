"""Where a machine is, who logs in, and which host key it must have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """One machine, as SSH reaches it.

    Attributes
    ----------
    alias : str
        The name that the user knows it by; errors speak of it.
    host : str
        Its address or name.
    port : int
        The port of its SSH server.
    user : str
        The login.
    key_path : Path
        The private key offered, and no other.
    host_key : str
        The public key's line that the machine must prove to own.
    host_key_alias : str
        The name of that key in known_hosts: one that does not come back with another machine, as
        an address does. The alias, unless given.
    next_host_key : str
        Another key that it may prove instead: a machine that is changing its key has, for a moment,
        either. Of the same kind as `host_key`; mostly empty.
    proxy_jump : str
        The hosts to go through, as ssh's option ProxyJump has them: ``user@bastion:22``; empty
        where this computer reaches the machine itself.
    """

    alias: str
    host: str
    port: int
    user: str
    key_path: Path
    host_key: str
    host_key_alias: str = ""
    next_host_key: str = ""
    proxy_jump: str = ""

    def __post_init__(self) -> None:
        if not self.host_key_alias:
            object.__setattr__(self, "host_key_alias", self.alias)

    @property
    def host_keys(self) -> tuple[str, ...]:
        """Every key that it may have, mostly one."""
        return (self.host_key, self.next_host_key) if self.next_host_key else (self.host_key,)

    @property
    def where(self) -> str:
        """The address and port, as errors name them."""
        through = f" (through {self.proxy_jump})" if self.proxy_jump else ""
        return f"{self.host} port {self.port}{through}"
