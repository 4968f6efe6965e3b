"""What nodes that come up side by side do for, or with, one another.

::

    gates.py        where workers wait for the master
    gathering.py    where all wait for each other, at a plugin that sets up all of them at once
    tagging.py      their tags, written in as few calls as EC2 takes
"""
