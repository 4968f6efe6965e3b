"""Wait, on the master, until a node's engines are registered and answer.

Arguments: connection file, node, what the identities of its engines begin with (x,y), number of
engines, limit in seconds.
"""

import sys
import time

import ipyparallel

file, node = sys.argv[1:3]
marks = tuple(sys.argv[3].split(","))
number, limit = int(sys.argv[4]), float(sys.argv[5])
end = time.monotonic() + limit
client = ipyparallel.Client(connection_info=file, timeout=limit)


def engines() -> list[int]:
    return [i for i, identity in dict(client._engines).items() if identity.startswith(marks)]


while len(engines()) < number:
    if time.monotonic() > end:
        sys.exit(f"{len(engines())} of {number} engines of {node} registered within {limit:.0f} s")
    time.sleep(0.05)
mine = engines()
idle = [i for i, state in client.queue_status(mine).items() if i in mine and not state["tasks"]]
if idle:  # one that already works on something has answered
    client[idle].apply(int).get(timeout=max(1.0, end - time.monotonic()))
