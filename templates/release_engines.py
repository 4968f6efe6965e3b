"""Take a node's engines out of rotation, on the master; what runs on them is finished first.

Arguments: connection file, node.
"""

import sys
import time

import ipyparallel

file, node = sys.argv[1:3]
client = ipyparallel.Client(connection_info=file, timeout=20)
mine = [i for i, ident in dict(client._engines).items() if ident.split(".")[0] == node]
if mine:
    client.shutdown(targets=mine, block=False)
    end = time.monotonic() + 20
    while set(mine) & set(client.ids):  # leaving now could lose the message
        if time.monotonic() > end:
            sys.exit(f"the engines of {node} did not leave the rotation within 20 s")
        time.sleep(0.02)
client.close()
