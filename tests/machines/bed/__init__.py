"""The test bed: machines that boot, behind the API of the local cloud.

::

    lab.py        what tests use: a lab, its machines, its faults
    inside.py     the process in the lab's namespace: the local cloud's own API and reconciler,
                  with machines in the place of its hosts
    machines.py   the machines as the reconciler sees them: boot, find, end, remove, follow
    boot.sh       what runs around one machine, from power on to power off
    network.py    bridge, links, security groups, what goes wrong between machines
    relay.py      delay, in user space
    disks.py      volumes: loop devices that vanish with their lab
    cgroups.py    groups of processes: freezing, killing and limiting whole machines
    imds.py       the metadata service
    index.py      the package index, over wheels.py
    image.py      the image, by recipe (seal.sh)
    cache.py      where what takes long to make is kept
"""
