"""Whose engines a search runs on.

::

    protocol.py      what the dispatcher asks of them, and the words for what becomes of messages
    given.py         which of these a user has given
    ipyparallel.py   a client and its controller, with ipyparallel_private.py
    slots.py         a scheduler for those who have none that we could use:
    executors.py     executors of concurrent.futures, on this computer, with futures_private.py
    notes.py         what their processes tell before they answer
    dask.py          workers of dask
    references.py    packs what stays in this process

All of it is the client's side; what runs on engines is in `engine`, the same for all of them.
"""
