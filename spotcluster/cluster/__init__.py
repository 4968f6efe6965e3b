"""Clusters and their nodes: launched, set up, resized, ended.

::

    cluster.py         a cluster: its record, its nodes, its plugins
    node.py            a node: an instance, and one SSH connection to it
    records.py         what EC2 remembers of a cluster, in the tags of its security group
    additions.py       what every `addnode` under way is doing, there too; owner.py: who it is
    aliases.py         names of nodes for the user's own ssh
    secrets.py         plugins' settings that stay on the computers whose config has them
    lookup.py          where a cluster is, and the key that opens its nodes
    connect.py         an ipyparallel client through our tunnel
    ingress.py         who may reach it
    limits.py          one limit for all that a thread does
    hooks.py           calling what a plugin does; what goes wrong there names it
    reporter.py        how whoever looks on is told what is being done
    lifecycle/         one file per command: start, add, remove, stop, terminate, ...
    bringup/           what makes an instance a node
    status/            looks, and changes nothing
    volumes/           disks that outlive clusters
    on_master/         what runs on the master after we left
    reach/             put and get, a command on all nodes, their ports
"""
