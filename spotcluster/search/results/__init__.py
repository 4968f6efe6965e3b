"""What comes back.

::

    results.py        ranks, scikit-learn's table, the report as text
    finished.py       the evaluations that they are of, in columns
    ledger.py         on disk, so that another client can go on; locks.py: one at a time
    record.py         what its lines say            tail.py: those that have come since
    display.py        live            progress.py     for other processes
    page.py           live, in a notebook; state.py: what both show
    plots.py          pictures of scores; work.py: of who did what when
    drawing.py        what pictures have in common; subject.py: what they are of, in words
    tracking.py       MLflow's runs   frames.py       pandas
    rows.py           tables, CSV, Parquet
    kept.py           ledgers that are looked at, or made one
"""

from spotcluster.search.results.results import Best

__all__ = ["Best"]
