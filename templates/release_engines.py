"""Wait, on the master, until the engines of nodes have finished what they run, and end them.

The nodes' drain flags are up, so they take nothing new.
Arguments: connection file, nodes (a,b,c), what the identities of their engines begin with (x,y,z),
limit in seconds.
"""

import sys
import time

import ipyparallel

file, nodes, marks, limit = sys.argv[1], sys.argv[2], sys.argv[3].split(","), float(sys.argv[4])
client = ipyparallel.Client(connection_info=file, timeout=20)
mine = [i for i, who in dict(client._engines).items() if who.startswith(tuple(marks))]
if mine:
    # An engine does one thing after the other: when it answers, what it ran before has ended.
    # Ending it earlier would not do: 5 s after an engine has left, the controller gives up what
    # still runs on it.
    client[mine].apply(int).wait(limit)
    client.shutdown(targets=mine, block=False)
    end = time.monotonic() + 20
    while set(mine) & set(client.ids):  # leaving now could lose the message
        if time.monotonic() > end:
            sys.exit(f"the engines of {nodes} did not leave the rotation within 20 s")
        time.sleep(0.02)
client.close()
