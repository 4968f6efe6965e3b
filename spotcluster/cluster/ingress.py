"""Who may reach a cluster: the rules of its security group.

A rule that lets a computer in says which one in its description, so that it takes that rule away
when it has another address, and no other computer's.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from spotcluster.aws import network
from spotcluster.aws.session import Session
from spotcluster.cluster import owner
from spotcluster.cluster.records import Record
from spotcluster.errors import CloudError

if TYPE_CHECKING:
    from spotcluster.config import Template

log = logging.getLogger("spotcluster.ingress")

_CALLER = "spotcluster: caller "


def open_group(
    session: Session,
    record: Record,
    template: Template,
    allow: Sequence[str] = (),
    *,
    ipv6: bool = False,
) -> Record:
    """Let this computer (or whom the template names) reach SSH, and the nodes one another.

    Parameters
    ----------
    ipv6 : bool
        Whether nodes have IPv6 addresses only.

    Raises
    ------
    CloudError
        EC2 refuses, or this computer's address cannot be found.
    """
    if not template.allow:
        record = _move_in(session, record, ipv6=ipv6)
    network.allow(
        session,
        record.group_id,
        [
            network.among_themselves(record.group_id),
            *(network.ssh_from(cidr) for cidr in dict.fromkeys([*template.allow, *allow])),
            *(
                network.port_range(one.ip_protocol, one.from_port, one.to_port, one.cidr_ip)
                for one in template.permissions
            ),
        ],
        new=record.new,
    )
    return record


def let_in(session: Session, record: Record) -> Record:
    """Let this computer reach SSH, which may have another address than when it was let in last.

    Where that cannot be, the connection will say so: this computer may need no such rule.
    """
    if record.template.allow or record.ending:
        return record
    try:
        return _move_in(session, record)
    except CloudError as error:
        log.info("SSH to '%s' was not opened to this computer: %s", record.name, error)
        return record


def _move_in(session: Session, record: Record, *, ipv6: bool = False) -> Record:
    mark = f"{_CALLER}{owner.this_computer()}"
    rules = dict(record.ssh)
    if record.template.subnet_id:  # whoever was let in first knew what addresses are there
        ipv6 = ipv6 or any(":" in one for one, who in rules.items() if who.startswith(_CALLER))
    cidr = session.caller_cidr(ipv6=ipv6)
    if not _is_within(cidr, rules):
        network.allow(session, record.group_id, [network.ssh_from(cidr, mark)], new=record.new)
        rules[cidr] = mark
    for former in [one for one, about in rules.items() if about == mark and one != cidr]:
        network.disallow(session, record.group_id, network.ssh_from(former, mark))
        del rules[former]
    return replace(record, ssh=rules)


def _is_within(cidr: str, blocks: Iterable[str]) -> bool:
    own = ipaddress.ip_network(cidr)
    for block in blocks:
        other = ipaddress.ip_network(block, strict=False)
        if own.version == other.version and own.subnet_of(other):  # type: ignore[arg-type]
            return True
    return False
