"""SSH to one machine: connect, run scripts, move files, forward ports. The only room with paramiko.

::

    keys.py         key pairs, private key files, fingerprints
    target.py       where a machine is, who logs in, and which host key it must have
    jump.py         the way through a host in between, which the system's ssh makes
    failures.py     why a connection could not be made, each reason with its hint
    attempt.py      one attempt to connect
    patience.py     attempts until a booting machine lets us in
    connection.py   a connection: run, put, get
    apart.py        all of it in a thread of its own, where no Ctrl-C comes in between
    script.py       what goes over for a script, and what its output says
    series.py       several scripts in one round trip
    channels.py     one command on a channel: feeds and drains it within a limit
    sftp.py         single files over SFTP, for set-up
    copying/        both ends of a copy of trees; one is sent to the machine
    transfer.py     trees of files to a machine and from it
    relaying.py     what one machine has, sent on by it to others
    tunnel.py       local ports that lead to ports behind the machine
    paramiko_private.py  what we use of it that is not public
    program.py      the arguments and known hosts for the system's own ssh
"""

from __future__ import annotations

from spotcluster.ssh import jump, keys
from spotcluster.ssh.attempt import connect
from spotcluster.ssh.connection import Connection, Result
from spotcluster.ssh.patience import wait_for
from spotcluster.ssh.program import command_line, config_text, known_hosts_text
from spotcluster.ssh.target import Target
from spotcluster.ssh.tunnel import Tunnel

__all__ = [
    "Connection",
    "Result",
    "Target",
    "Tunnel",
    "command_line",
    "config_text",
    "connect",
    "jump",
    "keys",
    "known_hosts_text",
    "wait_for",
]
