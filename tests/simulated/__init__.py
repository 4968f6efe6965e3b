"""A controller and engines that are simulated, on a clock that runs only as far as is looked.

The dispatcher of a search cannot tell them from ipyparallel's: they are what it sees of a client,
and what former versions see of its views and of what these return. Everything happens on the thread
that runs the dispatcher, in an order that depends on nothing else: what it waits for is what comes
next. So thousands of engines take as long as their client needs, and each run is like the last.

::

    clock.py        what happens when          controller.py   the client, and who gets what
    engines.py      what is done there         running.py      a dispatcher on all of them
"""

from __future__ import annotations

from .clock import BEGIN
from .controller import Times, World
from .running import Run

__all__ = ["BEGIN", "Run", "Times", "World"]
