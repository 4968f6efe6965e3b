"""Nodes that are there, reached from this computer.

::

    transfers.py    files to a node and from it       buckets.py    S3's: we list and sign
    spreading.py    files to all nodes, by way of the master
    execute.py      a command on all nodes at once
    forward.py      ports of this computer that lead to ports of nodes
    dask.py         a dask client for its dask workers, through a tunnel
"""
