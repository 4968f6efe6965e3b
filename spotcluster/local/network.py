"""Addresses of network interfaces: the subnet's own, where moto fails on others or takes them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response


def check_addresses(subnet: Any, interfaces: Iterable[Mapping[str, Any]]) -> None:
    """Refuse addresses that `interfaces` ask for and that are not the subnet's.

    Raises
    ------
    EC2ClientError
        ``InvalidParameterValue`` if one is no address, or another network's, or one of those that
        EC2 keeps for itself: the first four and the last of a subnet.
    """
    first = int(subnet.cidr.network_address) + 4
    last = int(subnet.cidr.broadcast_address) - 1
    for interface in interfaces:
        wanted = [one.get("PrivateIpAddress") for one in interface.get("PrivateIpAddresses") or []]
        for address in [interface.get("PrivateIpAddress"), *wanted]:
            if not address:
                continue
            try:
                number = int(ipaddress.IPv4Address(address))
            except ValueError:
                raise EC2ClientError(
                    "InvalidParameterValue",
                    f"Value ({address}) for parameter privateIpAddress is invalid.",
                ) from None
            if ipaddress.IPv4Address(address) not in subnet.cidr:
                raise EC2ClientError(
                    "InvalidParameterValue",
                    f"Address {address} does not fall within the subnet's address range",
                )
            if not first <= number <= last:
                raise EC2ClientError(
                    "InvalidParameterValue",
                    f"Address {address} is in subnet's reserved address range",
                )


class NetworkAnswers(EC2Response):
    """Part of the EC2 API: CreateNetworkInterface and AssignPrivateIpAddresses."""

    def create_network_interface(self) -> ActionResult:
        """Answer CreateNetworkInterface."""
        check_addresses(self.ec2_backend.get_subnet(self._get_param("SubnetId")), [self.params])
        return super().create_network_interface()

    def assign_private_ip_addresses(self) -> ActionResult:
        """Answer AssignPrivateIpAddresses."""
        interface = self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))
        wanted = self._get_param("PrivateIpAddresses", [])
        check_addresses(interface.subnet, [{"PrivateIpAddress": one} for one in wanted])
        return super().assign_private_ip_addresses()
