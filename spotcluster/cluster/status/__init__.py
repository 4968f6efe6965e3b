"""How clusters do; nothing here changes anything.

::

    listing.py      clusters as a list      costs.py       what they have cost
    observer.py     one cluster: its nodes, engines, jobs and searches
    notices.py      what EC2 says of machines
    vitals.py       what machines say       controller.py  what the controller knows
    quick.py        what the master says at once, for who is about to end it
    consoles.py     what instances wrote on their consoles
"""
