"""A cluster that keeps its size: what is lost is replaced, and the queue may say how large it is.

::

    decision.py      what is to be done, by what is seen: no call, no clock
    observation.py   what is seen: EC2, the machines, the controller, the searches
    keeper.py        the loop: look, decide, have it done, say what and why
    acting.py        who does it      watching.py   who leaves it to another process, and needs less
    service.py       that loop on the master, as one or the other; relay.py: how they follow
    on_master.py     what the master gets for it
    wanted.py        how the master is to keep, as a tag says it
"""
