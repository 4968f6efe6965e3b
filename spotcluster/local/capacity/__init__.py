"""How much there is, and where.

::

    pools.py   how many instances a pool holds, and how many virtual cores an account may have
    places.py  placement groups, and capacity reservations
"""

from __future__ import annotations

from .pools import Capacity, Quotas

__all__ = ["Capacity", "Quotas"]
