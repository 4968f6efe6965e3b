"""What makes a node: planned, launched, reached, set up, ready; each node at its own pace.

::

    plans.py        what would be made, and its price, checked against EC2; makes nothing
    member.py       a node on its way into a cluster
    launch.py       one instance, under a name that nobody else has, once
    userdata.py     what it reads at its first boot
    watcher.py      one describe call for all that wait
    set_up.py       makes the machine a node: hostnames.py, hostkeys.py
    packages.py     what is installed, and which node has something else
    pipeline.py     these steps for many nodes at once
    failures.py     what is done about a node that fails
    bringup.py      all of it, for `start`, `addnode` and `restart`
"""
