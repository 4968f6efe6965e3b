"""Take a node's engines out of rotation, on the master; what runs on them is finished first.

Arguments: connection file, node.
"""

import sys

import ipyparallel

file, node = sys.argv[1:3]
client = ipyparallel.Client(connection_info=file, timeout=20)
mine = [i for i, ident in dict(client._engines).items() if ident.split(".")[0] == node]
if mine:
    client.shutdown(targets=mine, block=False)
client.close()
