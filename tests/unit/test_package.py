"""The public surface of the package."""

from __future__ import annotations

import spotcluster
from spotcluster.cluster.connect import connect


def test_exports_what_it_says() -> None:
    assert spotcluster.__all__ == ["__version__", "connect"]
    assert spotcluster.connect is connect
