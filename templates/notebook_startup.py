"""Runs in every kernel of `spotcluster notebook`: %px means all engines, those to come too.

It connects when it is first used: a kernel starts at once, and does not need a controller to.
"""

import time
from typing import Any

_HEARING = 10.0  # seconds


def _magics_of_the_cluster() -> None:
    import ipyparallel
    from IPython import get_ipython

    shell: Any = get_ipython()

    def hear(view: Any) -> None:
        """Wait until what engines print arrives here: at first it is lost, one time in ten."""
        end = time.monotonic() + _HEARING
        while (left := end - time.monotonic()) > 0:
            asked = view.execute("", silent=True, block=False)
            asked.wait(left)
            if asked.wait_for_output(0.5):
                return

    def make(name: str) -> None:
        def first(line: str, cell: str | None = None) -> Any:
            view = ipyparallel.Client(timeout=30).direct_view("all")
            view.block = True
            hear(view)
            view.activate()  # puts the real ones in our place
            if cell is None:
                return shell.run_line_magic(name, line)
            return shell.run_cell_magic(name, line, cell)

        first.__doc__ = "Run code on the engines; connects to them when it is first used."
        shell.register_magic_function(first, "line_cell", name)

    for name in ("px", "autopx", "pxconfig"):
        make(name)


_magics_of_the_cluster()
del _magics_of_the_cluster
