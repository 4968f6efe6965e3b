"""How the local cloud is spoken to: HTTP before the application, and what it answers with.

::

    serving.py        the HTTP server
    answers.py        answers that are ours, in the form of each of AWS's protocols
    moto_private.py   moto's answers, made quicker
"""
