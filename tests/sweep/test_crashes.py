"""Killed right before and right after every call: terminate leaves nothing, repeating converges.

A call that only reads changes nothing, so that "after" it is "before" the next one; it is looked
at once. What comes of a crash depends on what EC2, the machines and the home folder hold then, so
`terminate` and the repetition are run once for each such state, and the table names it by number.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from faults import crashes, sweep
from faults.commands import COMMANDS
from faults.interrupts import check_interrupts
from faults.world import World


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("what", COMMANDS)
def test_killed_at_every_call(world: World, what: str, shown: Callable[[str], None]) -> None:
    command = COMMANDS[what]
    command.before(world)
    saved = world.save()
    table = sweep.record(world, command.words, saved)
    kills = sweep.kill(world, command.words, saved, table, sweep.to_kill_at(table))
    left = {
        known: crashes.check_state(world, what, command, table.first(known), there)
        for known, there in table.saved.items()
    }
    shown(crashes.written(what, table, left, kills))
    assert len(table.calls()) > 5
    assert kills > 3


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("what", COMMANDS)
def test_interrupt_at_any_call_says_what_exists_and_what_ends_it(world: World, what: str) -> None:
    assert check_interrupts(world, COMMANDS[what]) > 3
