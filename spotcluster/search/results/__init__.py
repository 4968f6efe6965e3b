"""What comes back.

::

    results.py        ranks, scikit-learn's table, the report as text
    finished.py       the evaluations that they are of, in columns
    ledger.py         on disk, so that another client can go on; locks.py: one at a time
    record.py         what its lines say
    display.py        live            progress.py     for other processes
    tracking.py       MLflow's runs
    plots.py          pictures        frames.py       pandas
    rows.py           tables, CSV, Parquet
    kept.py           ledgers that are looked at, or made one
"""

from spotcluster.search.results.results import Best

__all__ = ["Best"]
