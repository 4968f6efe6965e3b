"""What goes to the engines: the questions, and the data that they are asked of.

::

    parameters.py     what a search may be given, said as scikit-learn says it
    candidates.py     which parameters are tried, in which order
    folds.py          a dataset cut into folds
    splits.py         train/test splits as files that engines map into memory
    evaluations.py    one model, candidate and split: what is known of it
"""
