"""What runs on the master after our connection has ended.

::

    detached.py     programs that run whoever listens
    library.py      what of spotcluster the master has for them
    jobs.py         the user's programs        bundle.py    what they take along
    notebook.py     JupyterLab
"""
