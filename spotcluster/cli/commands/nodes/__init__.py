"""Commands that reach a node itself: a login, files, ports, a command on all of them.

::

    ssh.py        sshmaster, sshnode      execute.py    exec
    transfers.py  put, get                tunnel.py     tunnel
    notebook.py   notebook                shell.py      shell
"""
