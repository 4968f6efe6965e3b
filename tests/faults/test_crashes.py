"""Killed at any call, in a part of the states that this leaves; tests/sweep has all of them.

Of commands that make more or less, here it is what makes least, and there what makes most.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from . import crashes, sweep
from .commands import COMMANDS, LEAST
from .interrupts import check_interrupts
from .world import World


@pytest.mark.parametrize("what", COMMANDS)
def test_killed_at_some_calls(world: World, what: str, shown: Callable[[str], None]) -> None:
    command = {**COMMANDS, **LEAST}[what]
    command.before(world)
    saved = world.save()
    table = sweep.record(world, command.words, saved)
    at = sweep.to_kill_at(table)
    kills = sweep.kill(world, command.words, saved, table, at[len(at) // 2 :][:1])
    assert kills == 1
    some = list(table.saved)[::6]
    left = {
        known: crashes.check_state(world, what, command, table.first(known), table.saved[known])
        for known in some
    }
    shown(crashes.written(what, table, left, kills))


@pytest.mark.parametrize("what", ["addnode", "stop"])
def test_interrupt_at_some_calls_says_what_exists_and_what_ends_it(world: World, what: str) -> None:
    assert check_interrupts(world, COMMANDS[what], each=4) >= 3
