"""Where nodes may be, and with what.

::

    kinds.py         of which type and from which image a node is
    pools.py         where workers may come from, and what each place costs now
    room.py          whether so many fit: into the subnets, and into the account's quota
    surroundings.py  what others have made that nodes are launched with and into: roles, keys,
                     placement groups, reservations
"""
