"""What must be said when Ctrl-C is pressed at a call."""

from __future__ import annotations

import signal

from .commands import Command
from .sweep import Hit, Row, Table, called, cut_off, is_remote, only_reads, record, state
from .terminals import Done
from .world import Saved, World


def check_interrupt(world: World, command: Command, hit: Hit, saved: Saved) -> Done | None:
    """Interrupt a command right after a call; return how it ended, None if it had before."""
    world.restore(saved)
    before = state(world)
    name, terminal = cut_off(world, command.words, hit, signal.SIGINT, after=True)
    done = terminal.done
    assert done
    if not name:
        return None
    where = f"interrupted at {name}:\n{done.out}{done.err}"
    if done.status == 0:  # it came when all was done
        return done
    assert done.status == 130, where
    assert "Traceback" not in done.err, where
    if "Nothing of 'mycluster' was changed" in done.err:
        assert state(world) == before, where
        return done
    for found in world.instances().values():
        for one in found:
            assert one.id in done.err, where
    expected = "terminate mycluster" if world.left() else "Nothing of 'mycluster' exists"
    assert expected in done.err, where
    return done


def to_interrupt_at(table: Table) -> list[Row]:
    """Return the calls after which an interrupt may have to say something else than after another.

    What is said goes by what there is, and by what the command was doing: so each call that makes
    a state, one that reads in each state, the first and the last of a name of those that change
    things in EC2, and each fifth step on a node.
    """
    calls = {row.number: row for row in table.calls()}
    made = [row.number for row in table.rows if row is table.first(row.state)]
    reading: dict[int, int] = {}
    changing: dict[str, list[int]] = {}
    steps = []
    for number, row in calls.items():
        if only_reads(row.name):
            reading.setdefault(row.state, number)
        elif is_remote(row.name):
            steps.append(number)
        else:
            changing.setdefault(row.name, []).append(number)
    ends = [number for found in changing.values() for number in (found[0], found[-1])]
    return [calls[number] for number in sorted({*made, *reading.values(), *ends, *steps[::5]})]


def check_interrupts(world: World, command: Command, *, each: int = 1) -> int:
    """Interrupt a command at each `each`-th of its calls that count; return how often it was."""
    command.before(world)
    saved = world.save()
    table = record(world, command.words, saved)
    count = 0
    for row in to_interrupt_at(table)[each // 2 :: each]:
        hit = called(row.name, table.occurrence(row))
        count += check_interrupt(world, command, hit, saved) is not None
    world.restore(saved)
    return count
