"""What must come of every state in which a command may leave things: the checks and their table."""

from __future__ import annotations

from .commands import END, Command
from .sweep import Row, Table
from .world import Saved, World


def check_converged(world: World, command: Command, said: str) -> None:
    found = world.instances()
    wanted = sorted([*command.ready, *command.stopped])
    assert {alias: len(there) for alias, there in found.items()} == dict.fromkeys(wanted, 1), said
    assert world.ready() == command.ready, said
    states = {alias: one.state for alias, (one,) in found.items()}
    running = dict.fromkeys(command.ready, "running")
    assert states == running | dict.fromkeys(command.stopped, "stopped"), said
    own = world.group_tags()
    assert ("spotcluster:stopped" in own) == bool(command.stopped), said
    assert int(own.get("spotcluster:size", 0)) == command.size, said
    assert not [key for key in own if key.startswith("spotcluster:adding")], said
    assert command.images <= len(world.images()) <= 2 * command.images, said
    if command.images:  # of what was on the way to them, nothing is left
        assert not [one for one in world.left() if one.startswith(("ami-", "snap-"))], said
    if not wanted:
        assert world.left() == [], said


def check_ends(world: World, where: str) -> str:
    """End what there is, of which nothing may be left; return what is left in words."""
    done = world.terminal(*END).wait()
    assert done.status == 0 or "There is no cluster" in done.err, f"{where}:\n{done.err}"
    assert world.left() == [], f"{where}:\n{done.err}"
    assert world.own_files() == [], f"{where}:\n{done.err}"
    return ", ".join(world.left()) or "nothing"


def check_state(world: World, what: str, command: Command, row: Row, saved: Saved) -> str:
    """From a state: `terminate` leaves nothing, the same command converges, its opposite too."""
    where = f"{what}, killed {row.side} call {row.number}, {row.name}"
    world.restore(saved)
    left = check_ends(world, where)
    if what == "addnode" and (row.side.rstrip("*"), row.name) == ("after", "DeleteTags"):
        return left  # its last call: all is done and said, and repeating it adds another node
    world.restore(saved)
    done = world.terminal(*command.words).wait()
    check_converged(world, command, f"{where}:\n{done.err}")
    if command.undone:
        world.restore(saved)
        done = world.terminal(*command.undone.words).wait()
        if not ("start" in command.undone.words and "already running" in done.err):
            assert done.status == 0, f"{where}:\n{done.err}"
        check_converged(world, command.undone, f"{where}, then undone:\n{done.err}")
    return left


def written(what: str, table: Table, left: dict[int, str], kills: int) -> str:
    """Return the table as text."""
    lines = [
        f"{row.number:4} {row.side:7} {row.state:6}  {left.get(row.state, ''):10} {row.name}"
        for row in table.rows
    ]
    title = (
        f"{what}: killed {len(table.rows)} times, in {len(table.numbers)} states"
        f" ({kills} times by a signal: *)"
    )
    return "\n".join([title, "   k side     state  left over  call", *lines])
