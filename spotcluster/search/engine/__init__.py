"""What runs on engines. Its text travels with each call, so it imports nothing of spotcluster.

::

    here.py           this engine and its host: who they are, which files they have
    place.py          where it is, if not on an engine of ipyparallel's
    batch.py          the evaluations of a message, one after the other
    herald.py         tells them that the host is taken back meanwhile
    imports.py        what they need, imported while files come
    fit.py            one of them          part.py     on a part of a split
    mapping.py        split files in memory, which an evaluation may write into
    hooks.py          what it tells scikit-learn's callbacks
    back.py           what goes back by value
    transfer.py       files to this host   peer.py     and from it to others
    sklearn_private.py  what they use of it that is not public
    prune.py          keeps the folder of files from growing for ever

Only `spotcluster.search.shipping` sends it; a module is a name on engines too.
"""
