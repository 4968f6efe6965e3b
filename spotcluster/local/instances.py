"""Instances whose states take time and whose addresses are their hosts'.

moto's instances are running as soon as they are asked for and terminated as soon as that is asked
for. Here a call only says what is wanted; the reconciler makes it so and then completes the change.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import Instance, InstanceState, StateReason

from . import clock

CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}

PORT_TAG = "spotcluster:ssh-port"
"""Tag that says where a host's SSH server listens, where that is not port 22."""

_USUAL_PORT = 22


class LocalInstance(Instance):
    """An instance that a host stands for.

    Attributes
    ----------
    address : str
        The host's loopback address.
    ssh_port : int
        Where its SSH server listens; 0 before its first boot.
    authorized_keys : tuple of str
        The public key of its key pair, as it was at launch.
    spot_instance_request_id : str or None
        The request that it fulfils.
    ended : float
        When it was terminated (seconds since the epoch), 0 before that.
    reboot_wanted : bool
        Whether the host has yet to be booted anew.
    last_console : str
        What the console said when the host was removed.
    snapshot : str
        What its disk began with; empty for an image that nobody made here.
    capacity_reservation_id : str or None
        The capacity reservation that it was launched into.
    taken, rebalance : float
        When it is taken back, and since when it is at risk of that; 0 where it is not.
    """

    address: str
    ssh_port: int
    authorized_keys: tuple[str, ...]
    spot_instance_request_id: str | None
    ended: float
    reboot_wanted: bool
    last_console: str
    snapshot: str = ""
    capacity_reservation_id: str | None = None
    taken: float = 0.0  # instances of earlier versions have none
    rebalance: float = 0.0

    @classmethod
    def adopt(
        cls, instance: Instance, address: str, authorized_keys: tuple[str, ...]
    ) -> LocalInstance:
        """Turn an instance that moto has just made into one of ours.

        moto names its class where it makes instances, so the class is changed afterwards.
        """
        instance.__class__ = cls
        assert isinstance(instance, cls)
        instance.address = address
        instance.ssh_port = 0
        instance.authorized_keys = authorized_keys
        instance.spot_instance_request_id = None
        instance.ended = 0.0
        instance.reboot_wanted = False
        instance.last_console = ""
        instance.launch_time = clock.stamp()
        instance.set_state("pending")
        for index, nic in instance.nics.items():
            # EC2's default for an interface made at launch; moto's is to keep it for ever.
            nic.delete_on_termination = True
            if index == 0:
                instance._give_address(nic)
        return instance

    def set_state(self, name: str) -> None:
        """Enter a state."""
        self._state = InstanceState(name, CODES[name])

    def _give_address(self, nic: Any) -> None:
        nic.private_ip_address = self.address
        nic.private_dns_name = self.address
        nic.private_ip_addresses = [
            {
                "Primary": True,
                "PrivateIpAddress": self.address,
                "PrivateDnsName": self.address,
            }
        ]
        if nic.public_ip is not None or nic.public_ip_auto_assign:
            nic.public_ip = self.address

    @property
    def is_live(self) -> bool:
        """Whether the instance keeps its address: it is not terminated."""
        return self.state != "terminated"

    @property
    def private_ip(self) -> str | None:
        return self.address if self.is_live else None

    @property
    def private_ip_address(self) -> str | None:
        return self.private_ip

    @property
    def private_dns_name(self) -> str:
        return self.private_ip or ""

    @property
    def public_ip(self) -> str | None:
        if self.state not in ("pending", "running", "shutting-down", "stopping"):
            return None
        return self.address if self.nics and self.nics[0].public_ip else None

    @property
    def public_ip_address(self) -> str | None:
        return self.public_ip

    @property
    def public_dns_name(self) -> str | None:
        return self.public_ip

    @property
    def network_interfaces(self) -> list[Any]:
        return list(self.nics.values()) if self.is_live else []

    def get_tags(self) -> list[dict[str, str]]:
        """Return its tags; moto looks for them through those of everything that there is."""
        own = self.ec2_backend.tags.get(self.id, {})
        what = {"resource_id": self.id, "resource_type": "instance"}
        return [{**what, "key": key, "value": value} for key, value in own.items()]

    @property
    def alias(self) -> str:
        """The name that its tags give it, as to a node of a cluster; may be empty."""
        return str(self.ec2_backend.tags.get(self.id, {}).get("spotcluster:alias") or "")

    # What is asked for: called by moto's StartInstances and so on. Each returns the previous state.

    def start(self) -> InstanceState:
        previous = copy.copy(self._state)
        if self.state == "running" or self.state == "pending":
            return previous
        if self.state != "stopped":
            raise _incorrect(self.id, "started")
        for nic in self.nics.values():
            nic.start()
        self._give_address(self.nics[0])
        self.launch_time = clock.stamp()
        self._reason = ""
        self.state_reason = StateReason()
        self.set_state("pending")
        return previous

    def stop(self, reason: StateReason | None = None) -> InstanceState:
        previous = copy.copy(self._state)
        if self.state in ("stopped", "stopping"):
            return previous
        if self.state not in ("running", "pending"):
            raise _incorrect(self.id, "stopped")
        self._say_why(reason)
        self.set_state("stopping")
        return previous

    def terminate(self, reason: StateReason | None = None) -> InstanceState:
        previous = copy.copy(self._state)
        if self.state not in ("shutting-down", "terminated"):
            self._say_why(reason)
            self.set_state("shutting-down")
        return previous

    def reboot(self) -> None:
        if self.state not in ("running", "pending"):
            raise _incorrect(self.id, "rebooted")
        self.reboot_wanted = self.state == "running"

    def _say_why(self, reason: StateReason | None) -> None:
        when = clock.stamp().strftime("%Y-%m-%d %H:%M:%S GMT")
        self._reason = f"User initiated ({when})" if reason is None else f"{reason.code} ({when})"
        self.state_reason = reason or StateReason(
            "Client.UserInitiatedShutdown: User initiated shutdown",
            "Client.UserInitiatedShutdown",
        )

    # What has happened: called when the host is in the state that was asked for.

    def has_booted(self, port: int) -> None:
        """Note that the host is up and listens on `port`."""
        self.ssh_port = port
        if port != _USUAL_PORT:
            self.add_tag(PORT_TAG, str(port))
        self.reboot_wanted = False
        self.set_state("running")

    def has_stopped(self) -> None:
        """Note that no process of the host is left."""
        for nic in self.nics.values():
            nic.stop()
        self.set_state("stopped")

    def has_ended(self, console: str = "") -> None:
        """Note that neither processes nor files of the host are left."""
        reason, state_reason = self._reason, self.state_reason
        if self.nics:
            # The subnet's own address that moto had chosen, which nobody has seen.
            for inner in self._private_ips:
                self.nics[0].subnet.del_subnet_ip(inner)
        if self._spot_fleet_id not in self.ec2_backend.spot_fleet_requests:
            self._spot_fleet_id = None  # moto would tell a fleet that is cancelled
        super().terminate()
        self._reason, self.state_reason = reason, state_reason
        self.last_console = console[-16384:]
        self.ended = clock.seconds()
        self.set_state("terminated")


def _incorrect(instance_id: str, action: str) -> EC2ClientError:
    return EC2ClientError(
        "IncorrectInstanceState",
        f"The instance '{instance_id}' is not in a state from which it can be {action}.",
    )


def live_addresses(instances: Iterable[Instance]) -> set[str]:
    """Return the addresses that are taken."""
    return {
        instance.address
        for instance in instances
        if isinstance(instance, LocalInstance) and instance.is_live
    }
