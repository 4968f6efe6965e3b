"""What one machine has been sent, sent on by it to others that its own ssh reaches."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from spotcluster.ssh import transfer
from spotcluster.ssh.apart import apart
from spotcluster.ssh.connection import Connection
from spotcluster.ssh.copying import wire
from spotcluster.ssh.copying.wire import Watch

_SIDE = 8
"""To how many machines at a time: each of them may take what one core can encrypt."""
_BATCH = 500


@dataclass(frozen=True)
class Passed:
    """What came of one machine.

    Attributes
    ----------
    alias : str
        Its name.
    sent : int
        Bytes that went over to it; what was there already did not.
    failed : tuple of (str, str)
        What could not be copied, and why.
    problem : str
        Why nothing could be; "" where it could.
    """

    alias: str
    sent: int
    failed: tuple[tuple[str, str], ...]
    problem: str


@apart
def pass_on(
    connection: Connection,
    base: str,
    names: Sequence[str],
    aliases: Sequence[str],
    *,
    user: str | None = None,
    progress: Watch | None = None,
) -> list[Passed]:
    """Have a machine send what it has to others, to the same places.

    Parameters
    ----------
    base : str
        A folder; relative paths and ``~`` start at the user's home, on all of them.
    names : sequence of str
        What of it, each after the folder that it is in.
    aliases : sequence of str
        The others, by the names that its ssh knows.
    user : str, optional
        Who does it, by sudo; the login unless given. The others have to let that user in.
    progress : Watch, optional
        Is told of the bytes that have gone, to all of them together.

    Raises
    ------
    ConnectionFailed
        The connection was lost; the same again sends what is missing.
    NodeError
        It cannot begin.
    """
    mark = secrets.token_hex(12)
    line, program = transfer.far_end(mark)
    asked = {
        "what": "pass",
        "base": base,
        "to": list(aliases),
        "side": _SIDE,
        "line": line,
        "program": program,
        "mark": mark,
    }
    found: dict[str, Passed] = {}
    with transfer.opened(connection, asked, user) as pipe:
        for begin in range(0, len(names), _BATCH):
            pipe.tell(wire.MANIFEST, list(names[begin : begin + _BATCH]))
        pipe.send(wire.END)
        while True:
            kind, payload = pipe.receive()
            if kind == wire.END:
                break
            said = wire.parsed(payload)
            if kind == wire.BEATS:
                if progress:
                    progress.moved(said)
                continue
            alias, sent, failed, problem = said
            pairs = tuple((str(name), str(why)) for name, why in failed)
            found[alias] = Passed(alias, int(sent), pairs, str(problem))
    lost = "the machine in between said nothing of it"
    return [found.get(one) or Passed(one, 0, (), lost) for one in aliases]
