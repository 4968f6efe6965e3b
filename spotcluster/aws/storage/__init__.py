"""What outlives clusters.

::

    ebs.py    volumes, which one machine has at a time
    efs.py    file systems, which all machines may mount
"""
