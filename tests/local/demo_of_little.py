"""The demo on a twentieth of its data: all that it does, but for the work of its engines.

::

    python demo_of_little.py demo

Its search finds something else than what it should find, and lasts as long: each evaluation has its
pace.
"""

from __future__ import annotations

import sys
from typing import Any

from sklearn import datasets

from spotcluster.cli import main

whole = datasets.load_digits
ROWS = 100


def some() -> Any:
    digits = whole()
    digits.data, digits.target = digits.data[:ROWS], digits.target[:ROWS]
    return digits


if __name__ == "__main__":
    datasets.load_digits = some
    sys.exit(main.run(sys.argv[1:]))
