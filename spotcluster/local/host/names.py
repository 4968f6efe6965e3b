"""The name of a local host, for Python on it: its copy is every session's ``sitecustomize``.

Hosts share the computer's kernel, and so its name, which an ordinary user cannot change for some
processes only. Programs tell machines apart by it, though: so Python on a host says the host's
name where it would say the computer's, and finds the host's address by it.
"""

from __future__ import annotations

import _socket
import os
import posix
import socket
from collections.abc import Callable
from typing import Any

NAME = "SPOTCLUSTER_HOST_NAME"
ADDRESS = "SPOTCLUSTER_HOST_ADDRESS"


def take(name: str, address: str) -> None:
    """Have this process be on a machine of that name and address."""

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        def resolve(host: Any, *args: Any, **options: Any) -> Any:
            mine = host in (name, name.encode())
            return function(address if mine else host, *args, **options)

        return resolve

    def uname() -> os.uname_result:
        own = tuple(computer())
        return os.uname_result((own[0], name, *own[2:]))

    computer = os.uname
    # Each module under which a function is found: one that is sent here comes by its first name,
    # as `_socket.gethostname` does.
    for sockets in map(vars, (socket, _socket)):
        sockets["gethostname"] = lambda: name
        for function in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            sockets[function] = wrapped(sockets[function])
    for system in map(vars, (os, posix)):
        system["uname"] = uname


if os.environ.get(NAME) and os.environ.get(ADDRESS):
    take(os.environ[NAME], os.environ[ADDRESS])
