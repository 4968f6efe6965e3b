"""What a launch asks for, and what bounds it.

::

    asked.py             a launch: the instance, its disk and its interface, as EC2 takes it
    placement_groups.py  where instances are near each other: made for a cluster, or others'
    reservations.py      capacity that somebody has reserved
    permissions.py       what a policy allows of all that
    quotas.py            how many virtual cores an account may have
"""
