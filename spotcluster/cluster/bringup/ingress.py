"""Who may reach a cluster: the rules of its security group."""

from __future__ import annotations

from collections.abc import Sequence

from spotcluster.aws import network
from spotcluster.aws.session import Session
from spotcluster.cluster.records import Record
from spotcluster.config import Template


def open_group(
    session: Session, record: Record, template: Template, allow: Sequence[str] = ()
) -> None:
    """Let this computer (or whom the template names) reach SSH, and the nodes one another."""
    callers = [*(template.allow or (session.caller_cidr(),)), *allow]
    network.allow(
        session,
        record.group_id,
        [
            network.among_themselves(record.group_id),
            *(network.ssh_from(cidr) for cidr in dict.fromkeys(callers)),
            *(
                network.port_range(one.ip_protocol, one.from_port, one.to_port, one.cidr_ip)
                for one in template.permissions
            ),
        ],
        new=record.new,
    )
