"""Wait, on the master, until the engines of nodes are registered and answer; print what is missing.

Arguments: connection file; limit in seconds; then for each node its name, what the identities of
its engines begin with (x,y), and how many there are to be.

It does not wait to the limit where some nodes' engines are there and others' are not: whoever asks
goes on with the first, and asks again for the others, which are printed, one a line.
"""

import sys
import time
from typing import Any

import ipyparallel

file, limit = sys.argv[1], float(sys.argv[2])
names, marks, numbers = sys.argv[3::3], sys.argv[4::3], sys.argv[5::3]
begin = time.monotonic()
end = begin + limit
client = ipyparallel.Client(connection_info=file, timeout=limit)
ASK_AGAIN = 1.0  # seconds
asked: dict[int, Any] = {}  # what each engine was asked, by its number
since: dict[int, float] = {}


def ask_again() -> None:
    """Have the client know the engines that there are now.

    What came or went while it connected it was not told of: it subscribes to that last. What it is
    told of between this question and its answer may be undone, until the next one.
    """
    told = client._send_recv(client._query_stream, "connection_request")["content"]["engines"]
    there = {int(number): identity for number, identity in told.items()}
    client._io_loop.add_callback(know, there)  # as all that it is told


def know(there: dict[int, str]) -> None:
    for gone in set(client._engines) - set(there):
        client._unregister_engine({"content": {"id": gone}})
    client._update_engines(there)


def answers(engine: int) -> bool:
    try:
        if engine not in asked:
            asked[engine] = None if works(engine) else client[engine].apply_async(int)
            since[engine] = time.monotonic()
        told = asked[engine]
        if told is None or (told.ready() and told.successful()):
            return True
        # A search may have been faster, and what it has begun there may take hours.
        if time.monotonic() - since[engine] > 2:
            since[engine] = time.monotonic()
            return works(engine)
    except Exception:  # noqa: BLE001 - it has gone meanwhile: the others must not fail
        return False
    return False


def works(engine: int) -> bool:
    """Return whether an engine is at work: it has a task, or has answered and was sent more.

    That it has answered once is not enough: it may be gone since, and the controller not know it.
    """
    status = client.queue_status(engine)
    ours = engine in asked  # what we asked waits there too
    if status["tasks"] or (status["completed"] and status["queue"] > ours):
        asked[engine] = None
        return True
    return False


def ready(begins: str, number: str) -> str:
    """Say what is missing of a node; nothing where all of it is there."""
    own = tuple(begins.split(","))
    mine = [i for i, identity in dict(client._engines).items() if identity.startswith(own)]
    if len(mine) < int(number):
        return f"{len(mine)} of {number} registered"
    answered = sum([answers(i) for i in mine])
    return "" if answered == len(mine) else f"{answered} of {len(mine)} answered"


first = end
asked_at = begin
while True:
    if time.monotonic() - asked_at > ASK_AGAIN:
        ask_again()
        asked_at = time.monotonic()
    found = {name: ready(*node) for name, *node in zip(names, marks, numbers, strict=True)}
    now = time.monotonic()
    if first == end and not all(found.values()):  # the others get as long again, and a moment
        first = min(end, now + 1 + (now - begin))
    if not any(found.values()) or now > first:
        break
    time.sleep(0.05)
for name, missing in found.items():
    if missing:
        sys.stdout.write(f"{name} {missing}\n")
