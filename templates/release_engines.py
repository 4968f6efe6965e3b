"""Wait, on the master, until the engines of nodes have finished what they run, and end them.

The nodes' drain flags are up, so they take nothing new.
Arguments: connection file, nodes (a,b,c), what the identities of their engines begin with (x,y,z),
limit in seconds.
"""

import sys
import threading
import time

import ipyparallel

file, nodes, marks, limit = sys.argv[1], sys.argv[2], sys.argv[3].split(","), float(sys.argv[4])
client = ipyparallel.Client(connection_info=file, timeout=20)
ASK_AGAIN = 1.0  # seconds


def ask_again() -> list[int]:
    """Return which of their engines there are now, and have the client know all that there are.

    What came or went while it connected it was not told of: it subscribes to that last.
    """
    told = client._send_recv(client._query_stream, "connection_request")["content"]["engines"]
    there = {int(number): identity for number, identity in told.items()}
    known = threading.Event()

    def know() -> None:
        for gone in set(client._engines) - set(there):
            client._unregister_engine({"content": {"id": gone}})
        client._update_engines(there)
        known.set()

    client._io_loop.add_callback(know)  # as all that it is told
    known.wait(20)
    return [engine for engine, identity in there.items() if identity.startswith(tuple(marks))]


mine = ask_again()
if mine:
    # An engine does one thing after the other: when it answers, what it ran before has ended.
    # Ending it earlier would not do: 5 s after an engine has left, the controller gives up what
    # still runs on it.
    asked = client[mine].apply(int)
    end = time.monotonic() + limit
    while not asked.ready() and (left := end - time.monotonic()) > 0:
        asked.wait(min(left, ASK_AGAIN))
        ask_again()  # one that has gone answers nothing
    if mine := ask_again():
        client.shutdown(targets=mine, block=False)
    end = time.monotonic() + 20
    asked_at = time.monotonic()
    while set(mine) & set(client.ids):  # leaving now could lose the message
        if time.monotonic() > end:
            sys.exit(f"the engines of {nodes} did not leave the rotation within 20 s")
        if time.monotonic() - asked_at > ASK_AGAIN:  # the answer names all engines that there are
            ask_again()
            asked_at = time.monotonic()
        time.sleep(0.02)
client.close()
