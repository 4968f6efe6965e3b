"""Completion: what a shell offers when Tab is pressed.

::

    names.py       the names that arguments and options take: clusters, nodes, templates, jobs
    asking.py      what EC2 and masters say of them, asked aside and kept for some seconds
    shells.py      what each shell runs, where it looks for that, and the answer to it

Whoever presses Tab waits for a moment at most and sees names or nothing: no error is shown.
"""
