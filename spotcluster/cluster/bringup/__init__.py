"""What makes a node: planned, launched, reached, set up, ready; each node at its own pace.

::

    plans.py        what would be made, and its price, checked against EC2; makes nothing
    naming.py       names of nodes, made when they are asked for
    places/         where nodes may be: pools, room, roles, placement groups, reservations
    member.py       a node on its way into a cluster
    launch.py       instances, under names that nobody else has, once: the master alone, and
                    workers.py together by fleets; making.py has what both ask for
    shortage.py     what is said when EC2 has too few
    userdata.py     what it reads at its first boot
    watcher.py      one describe call for all that wait
    set_up.py       makes the machine a node: hostkeys.py
    autostop.py     what ends a node by itself, and ceiling.py: when it does whatever runs
    packages.py     what is installed, and which node has something else
    together/       gates and gatherings at which they wait, and the tags of all of them
    pipeline.py     these steps for many nodes at once
    failures.py     what is done about a node that fails
    bringup.py      all of it, for `start`, `addnode` and `restart`
"""
