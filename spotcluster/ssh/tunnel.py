from __future__ import annotations


class Tunnel:
    pass
