"""What the reconciler asks of hosts, whatever kind they are.

`hosts.Hosts` are processes on this computer, for everyone. Machines that boot need root; the test
bed has them (``tests/machines``) and plugs them in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from .host.layout import Running
from .instances import LocalInstance


class HostKind(Protocol):
    """Hosts of one kind. Calls for one host do not overlap; for different ones they may."""

    def known(self) -> list[str]:
        """Return the instance ids of the hosts that there is anything of."""

    def prepare(
        self,
        instance_id: str,
        *,
        address: str,
        port: int,
        authorized_keys: tuple[str, ...],
        user_data: bytes,
        aws: Mapping[str, str],
        snapshot: str,
    ) -> None:
        """Make what a host needs to boot, keeping what an earlier boot of it left.

        Its disk begins with what `snapshot` kept; empty for an image that nobody made here.
        """

    def keep(self, instance_id: str, snapshot: str) -> None:
        """Keep what the disk of a host holds now, under the id of a snapshot."""

    def drop(self, snapshot: str) -> None:
        """Keep it no longer."""

    def boot(self, instance_id: str) -> Running:
        """Start a prepared host; return when it is what EC2 calls running.

        Raises
        ------
        Exception
            It does not come up; its instance is then terminated.
        """

    def follow(self, instance: LocalInstance) -> None:
        """Bring a host in line with what can change while its instance runs.

        Called at every look, with the cloud's lock held: it must be quick, above all where there is
        nothing to do.
        """

    def find(self, instance_id: str) -> Running | None:
        """Return where a host listens, None when it does not run."""

    def has_shut_down(self, instance_id: str) -> bool:
        """Return whether a host that does not run was shut down from inside, rather than killed."""

    def end(self, instance_id: str, *, politely: bool) -> None:
        """End every process of a host; its files stay."""

    def remove(self, instance_id: str) -> None:
        """Remove the files of a host that has ended."""

    def bury(self) -> None:
        """Clear away what has died or is no longer wanted since the last look."""

    def console(self, instance_id: str) -> str:
        """Return the end of what a host wrote to its console."""
