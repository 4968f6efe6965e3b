"""The console by which a user-mode Linux is managed from outside.

The datagrams are those of ``arch/um/drivers/mconsole.h`` in the kernel's source.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

_MAGIC, _VERSION, _MAX = 0xCAFEBABE, 2, 512
_HEADER = 12
_PATIENCE = 3.0


def ask(console: Path, command: str) -> str:
    """Give a machine a command; return its answer.

    Raises
    ------
    OSError
        It does not answer, or says why not.
    """
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as own:
        own.bind("")  # a name of the kernel's choice, for the answer
        own.settimeout(_PATIENCE)
        text = command.encode()
        own.sendto(struct.pack(f"III{_MAX}s", _MAGIC, _VERSION, len(text), text), str(console))
        said, more = b"", 1
        while more:
            data = own.recv(4096)
            status, more, length = struct.unpack_from("III", data)
            said += data[_HEADER : _HEADER + length]
    answer = said.rstrip(b"\0\n").decode()
    if status:
        raise OSError(f"{command}: {answer}")
    return answer
