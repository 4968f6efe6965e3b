"""Disks that outlive clusters.

::

    mounting.py     checked before anything is made, attached to the master, mounted
    catalogue.py    the user's volumes of a region: listed, made, made larger
    everywhere.py   EFS: checked, and mounted on every node
    release.py      unmounted and detached where a cluster ends
"""
