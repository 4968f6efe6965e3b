"""The four stages of cloud-init, by one process that has imported it; 24.3 does so by itself.

What it imports is most of what a stage takes, and a machine boots in a second without it. The first
stage, ``stages.py init --local``, leaves a process behind that makes one for each of the others,
which asks with its standard streams; that one is in the group of processes of who asked.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

SOCKET = "/run/cloud-init/stages"
CGROUPS = "/sys/fs/cgroup"
LAST = "--mode=final"


def ask(words: list[str]) -> int:
    """Have the other process do a stage; return what it ended with."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.connect(SOCKET)
        group = Path("/proc/self/cgroup").read_text().rpartition("0::")[2].strip()
        socket.send_fds(asking, ["\0".join([group, *words]).encode()], [0, 1, 2])
        return int(asking.recv(16))


def serve(listening: socket.socket) -> list[str]:
    """Make a process for each stage that is asked for; return its words in each."""
    while True:
        asked, _ = listening.accept()
        text, streams, *_ = socket.recv_fds(asked, 1 << 16, 3)
        group, *words = text.decode().split("\0")
        pid = os.fork()
        if pid == 0:
            Path(f"{CGROUPS}{group}/cgroup.procs").write_text(str(os.getpid()))
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            asked.close()
            listening.close()
            return words
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(pid, 0)
        asked.send(str(os.waitstatus_to_exitcode(status) & 0xFF).encode())
        asked.close()
        if LAST in words:
            sys.exit()


def begin(words: list[str]) -> list[str]:
    """Leave a process that serves, and return the words of the stage that is this one's."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    Path(SOCKET).unlink(missing_ok=True)
    Path(SOCKET).parent.mkdir(exist_ok=True)
    listening.bind(SOCKET)
    listening.listen()
    if os.fork() == 0:
        os.setsid()
        return serve(listening)
    listening.close()
    return words


def main(words: list[str]) -> int:
    """Do one stage of cloud-init's."""
    if "--local" not in words:
        return ask(words)
    from cloudinit.cmd.main import main as cloud_init

    return cloud_init(["/usr/bin/cloud-init", *begin(words)]) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
