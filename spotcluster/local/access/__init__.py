"""Who may call the local cloud, and what with.

::

    callers.py     the owner's key, and what a request says of its sender
    roles.py       the keys of machines whose instances have a role, and what these may do
    questions.py   what a call is about          policies.py    what IAM says to that
"""
