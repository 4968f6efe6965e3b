"""The modules of a package as text, to be made again where the package is not installed.

Engines and nodes have Python and not spotcluster; what runs there is sent as source. Such a package
imports the standard library, what is surely there, and itself: ``from . import X`` and ``from .X
import Y``, outside functions. This belongs to no room: two of them send packages.
"""

from __future__ import annotations

import ast
import functools
from graphlib import TopologicalSorter
from importlib import resources


@functools.cache
def sources(package: str) -> tuple[tuple[str, str], ...]:
    """Return the name and text of every module of a package, each after those that it imports.

    Raises
    ------
    graphlib.CycleError
        If they import one another in a circle.
    """
    texts = {
        path.name.removesuffix(".py"): path.read_text(encoding="utf-8")
        for path in resources.files(package).iterdir()
        if path.name.endswith(".py") and path.name != "__init__.py"
    }
    order = TopologicalSorter(
        {name: sorted(_imported(texts[name]) & texts.keys()) for name in sorted(texts)}
    )
    return tuple((name, texts[name]) for name in order.static_order())


def _imported(text: str) -> set[str]:
    """Return the modules of its own package that a module needs when it is made."""
    found = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {one.name for one in node.names}
    return found
