"""The local cloud: EC2 on this computer, for trying, testing and measuring without an account.

A background process answers EC2's API on a loopback address and keeps a host, an SSH server with
its own files and processes, for every instance. It starts by itself when it is first asked for.

::

    control.py       endpoint, start, stop, status: what other processes call
    record.py        what the local cloud keeps in its folder about itself
    daemon.py        the background process
    service.py       what runs in it
    application.py   moto's application behind our middleware:
                     access/, answers, faults, limits, lags, pricing
    cloud.py         the state: moto's backends, under one lock; persistence, addresses
    ec2.py           EC2: moto's, with these over it: launches, fleets, fleet_books,
                     requirements, spot, market, capacity/, prices, instances, images,
                     disks, network, filters, ingress
    moto_private.py  what we use of it that is not public, or change
    clock.py         what time it is there: all of these ask it
    reconciler.py    makes hosts what their instances say
    kind.py          what it asks of hosts, of whatever kind
    hosts.py         booting, watching and ending hosts, over processes.py
    host/            the host process itself

This is the only room that imports moto and asyncssh, and it does so in the daemon and in hosts.
"""

from __future__ import annotations

from .control import (
    Endpoint,
    Host,
    Status,
    endpoint,
    give_notice,
    set_capacity,
    set_faults,
    set_limits,
    set_prices,
    set_quotas,
    start,
    status,
    stop,
)

__all__ = [
    "Endpoint",
    "Host",
    "Status",
    "endpoint",
    "give_notice",
    "set_capacity",
    "set_faults",
    "set_limits",
    "set_prices",
    "set_quotas",
    "start",
    "status",
    "stop",
]
