"""A cluster that keeps its size: what is lost is replaced, and the queue may say how large it is.

::

    decision.py      what is to be done, by what is seen: no call, no clock
    observation.py   what is seen: EC2, the machines, the controller, the searches
    keeper.py        the loop: look, decide, act, say what and why
    service.py       that loop on the master       on_master.py   what the master gets for it
    wanted.py        how the master is to keep, as a tag says it
"""
