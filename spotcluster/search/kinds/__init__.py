"""What users write down: the kinds of searches, and how each finds its candidates.

::

    grids.py          a whole grid, or draws from it
    halving.py        successive halving, with rungs.py as its arithmetic and draws.py for rows
    asha.py           the same, asynchronous
    optuna_search.py  candidates that Optuna proposes, with trials.py, choices.py, optuna_private.py
    curves.py         learning curves
"""
