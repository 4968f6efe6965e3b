"""What commands do, from Python: objects and functions that neither print nor ask.

::

    scope.py       which config and which regions: for commands, and for what is here
    starting.py    starting a cluster, and what becomes of what came of it
    clusters.py    a cluster that can be worked with, `spotcluster.Cluster`
    seen.py        a cluster that is looked at
    reached.py     a cluster whose nodes are reached
    start.py       `spotcluster.start`, which gives one
    jobs.py        its jobs
    keeping.py     its size, kept
    account.py     what belongs to no cluster: `spotcluster.Account`
    costs.py       what clusters cost
    keys.py        key pairs
    reporting.py   how far it is, in a notebook
    page.py        a cluster as HTML
"""
