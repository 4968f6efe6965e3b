"""Delay between two interfaces, in user space: ``relay.py OUTER INNER SECONDS JITTER``.

Kernels of small virtual machines often lack netem. Runs in the lab's network namespace.

What a machine sends in one go comes as one packet, of up to 64 kB, and is passed on as one: the
header before it says how it is to be cut and summed, which the other end then need not do either.
To pass on each of its segments takes many times as much of the cores that all machines share.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import random
import select
import socket
import struct
import sys
import time

_ALL = 3  # ETH_P_ALL
_ADD_MEMBERSHIP, _PROMISCUOUS = 1, 1
_PACKET, _VNET_HEADER, _IGNORE_OUTGOING = 263, 15, 23  # SOL_PACKET and options of it


def open_interface(name: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # nothing before it is set up
    opened.setsockopt(_PACKET, _VNET_HEADER, 1)
    opened.setsockopt(_PACKET, _IGNORE_OUTGOING, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    opened.bind((name, _ALL))
    opened.setblocking(False)
    member = struct.pack("IHH8s", socket.if_nametoindex(name), _PROMISCUOUS, 0, b"")
    opened.setsockopt(_PACKET, _ADD_MEMBERSHIP, member)
    return opened


def main() -> None:
    outer, inner = sys.argv[1], sys.argv[2]
    delay, jitter = float(sys.argv[3]), float(sys.argv[4])
    first, second = open_interface(outer), open_interface(inner)
    other = {first: second, second: first}
    waiting: list[tuple[float, int, socket.socket, bytes]] = []
    number = 0
    os.write(1, b"ready\n")
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, to, packet = heapq.heappop(waiting)
            with contextlib.suppress(OSError):  # its link is down: lost, as on a wire
                to.send(packet)
        limit = max(0.0, waiting[0][0] - now) if waiting else None
        ready, _, _ = select.select([first, second], [], [], limit)
        for source in ready:
            for _ in range(64):
                try:
                    packet = source.recv(70000)
                except OSError:
                    break
                number += 1
                due = time.monotonic() + delay + random.uniform(-jitter, jitter)
                heapq.heappush(waiting, (due, number, other[source], packet))


if __name__ == "__main__":
    main()
