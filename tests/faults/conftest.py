"""A world for each test."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("faults.at_once", "faults.crashes", "faults.interrupts")

from .fixtures import world  # noqa: E402, F401 - a fixture
