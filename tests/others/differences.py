"""Tests of others that may fail here, each with its reason: files of lines ``TEST: REASON``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest


def mark(items: Iterable[pytest.Item], file: str, *, parts: int) -> None:
    """Mark what may fail; it is named by the last parts of a test's id, with its class or not."""
    lines = Path(__file__).with_name(file).read_text().splitlines()
    reasons = dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))
    for item in items:
        name = "::".join(item.nodeid.split("::")[-parts:])
        if reason := reasons.get(name):
            item.add_marker(pytest.mark.xfail(reason=reason))
