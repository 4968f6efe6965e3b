"""The command line: parses, calls, prints. No logic, nothing heavy imported before its use.

::

    commands/         the commands                        completion/     what Tab offers
    main.py           the program: global options, how every error ends
    context.py        what the global options say         options.py      what several commands have
    groups.py         groups of commands                  starcluster.py  StarCluster's words
    output.py         what is printed, and where          bars.py         how far a copy is
    results.py        what came of `start` and its like   pictures.py     what tables cannot show
    board.py          what `status` draws                browser.py      addresses for the browser
    timeline.py       where a start's time went
    interrupts.py     what is said after Ctrl-C           editing.py      a file edited aside
    logfile.py        the log of a run                    first_config.py  `config init`
    manual.py         the manual page
"""

from __future__ import annotations

import importlib.util
import sys


def _when_used(room: str, name: str) -> None:
    """Have a module of a room imported when it is used, wherever it is named before."""
    spec = importlib.util.find_spec(f"{room}.{name}")
    assert spec
    assert spec.loader
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    # Where it is no attribute of its room yet, `from ROOM import NAME` would use it.
    setattr(sys.modules[room], name, module)


# What `spotcluster --help` does without; rich alone, for the first, would take a third of its time.
for _name in ("output", "logfile", "editing", "first_config"):
    _when_used(__name__, _name)
