"""Delay between two interfaces, in user space: ``relay.py OUTER INNER SECONDS JITTER NETNS``.

Kernels of small virtual machines often lack netem. Runs in the lab's network namespace; NETNS is
that of the machine behind OUTER.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_ALL = 3  # ETH_P_ALL
_PACKET_ADD_MEMBERSHIP, _PROMISCUOUS, _PACKET = 1, 1, 263
_OUTGOING = 4
_SIOCETHTOOL = 0x8946
_OFFLOADS = (0x17, 0x1F, 0x24, 0x2C)  # ETHTOOL_STXCSUM, STSO, SGSO, SGRO
_CLONE_NEWNET = 0x40000000


def open_interface(name: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    opened.bind((name, _ALL))
    opened.setblocking(False)
    member = struct.pack("IHH8s", socket.if_nametoindex(name), _PROMISCUOUS, 0, b"")
    opened.setsockopt(_PACKET, _PACKET_ADD_MEMBERSHIP, member)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    return opened


def turn_offloads_off(name: str) -> None:
    """Let the kernel cut segments and sum them before we see them, as we pass on what we see."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for command in _OFFLOADS:
            value = array.array("B", struct.pack("II", command, 0))
            request = struct.pack("16sP", name.encode(), value.buffer_info()[0])
            with contextlib.suppress(OSError):  # one that this kernel does not have
                fcntl.ioctl(asking, _SIOCETHTOOL, request)


@contextlib.contextmanager
def in_namespace(path: str) -> Iterator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open() as here, Path(path).open() as there:
        if libc.setns(there.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(here.fileno(), _CLONE_NEWNET)


def main() -> None:
    outer, inner, netns = sys.argv[1], sys.argv[2], sys.argv[5]
    delay, jitter = float(sys.argv[3]), float(sys.argv[4])
    with in_namespace(netns):
        turn_offloads_off("eth0")
    for name in (outer, inner, f"{inner}b"):
        turn_offloads_off(name)
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
                    packet, sender = source.recvfrom(70000)
                except OSError:
                    break
                if sender[2] == _OUTGOING:
                    continue
                number += 1
                due = time.monotonic() + delay + random.uniform(-jitter, jitter)
                heapq.heappush(waiting, (due, number, other[source], packet))


if __name__ == "__main__":
    main()
