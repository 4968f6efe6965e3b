"""What each part of the page says, made of a snapshot.

::

    words.py     numbers with their units
    summary.py   the head, the figures at the top, and what is asked before something is done
    nodes.py     nodes          engines.py   engines
    searches.py  searches, leaders, failures
    record.py    jobs, events, and what was done from here
"""
