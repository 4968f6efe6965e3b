"""What comes back.

::

    results.py        ranks, scikit-learn's table, the report as text
    finished.py       the evaluations that they are of, in columns
    ledger.py         on disk, so that another client can go on; locks.py: one at a time
    record.py         what its lines say            tail.py: those that have come since
    display.py        live            progress.py     for other processes
    plots.py          pictures        frames.py       pandas
"""

from spotcluster.search.results.results import Best

__all__ = ["Best"]
