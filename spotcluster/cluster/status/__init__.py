"""How clusters do, and what they cost; nothing here changes what they are.

::

    listing.py      clusters as a list      costs.py       what they have cost
    receipts.py     what those have cost that have ended
    events.py       what has happened that the hook is to be told of
    observer.py     one cluster: its nodes, engines, jobs and searches
                                            plain.py       the same for --json
    notices.py      what EC2 says of machines
    vitals.py       what machines say       controller.py  what the controller knows
                                                hub.py         how the controller is asked
    searches.py     searches, as all who know of them tell
    quick.py        what the master says at once, for who is about to end it
    consoles.py     what instances wrote on their consoles
"""
