"""What must come of two commands at once: one is held at its calls while the other one runs."""

from __future__ import annotations

from .commands import END, STOP
from .holding import held
from .world import World

ADD = ("addnode", "mycluster")


def check_terminate_during_addnode(world: World, *, each: int = 1) -> list[str]:
    """Terminate at moments of `addnode`: nothing is left; return at which calls it was held."""
    names = []
    for hold, adding, where in held(world, ADD, world.save(), each=each):
        world.run(*END)
        hold.release()
        done = adding.wait()
        world.wait_until_idle()
        assert world.left() == [], f"{where}:\n{done.err}"
        assert "Traceback" not in done.err
        names.append(hold.name)
        if done.status:
            said = ("terminated from elsewhere", "There is no cluster", "is being terminated")
            assert any(one in done.err for one in said), f"{where}:\n{done.err}"
    return names


def check_addnode_during_terminate(world: World, *, each: int = 1) -> list[str]:
    """Add a node at moments of `terminate`: nothing is left; return at which calls it was held."""
    names = []
    for hold, ending, where in held(world, END, world.save(), each=each):
        adding = world.terminal(*ADD).wait()
        hold.release()
        done = ending.wait()
        world.wait_until_idle()
        assert done.status == 0, f"{where}:\n{done.err}"
        assert world.left() == [], f"{where}:\n{done.err}{adding.err}"
        names.append(hold.name)
    return names


def check_stop_during_addnode(world: World, *, each: int = 1) -> list[str]:
    """Stop at moments of `addnode`: nothing runs then; return at which calls it was held."""
    names = []
    for hold, adding, where in held(world, ADD, world.save(), each=each):
        world.run(*STOP)
        hold.release()
        done = adding.wait()
        world.wait_until_idle()
        there = {alias: [one.state for one in found] for alias, found in world.instances().items()}
        assert there == {"master": ["stopped"]}, f"{where}:\n{done.err}"
        assert "Traceback" not in done.err
        names.append(hold.name)
        if done.status:
            said = ("stopped from elsewhere", "is stopped", "is being terminated", "shutting-down")
            assert any(one in done.err for one in said), f"{where}:\n{done.err}"
    return names


def check_stop_during_start(world: World, *, each: int = 1) -> list[str]:
    """Stop at moments of the `start` of a stopped cluster: `start` goes on from what comes of it.

    Whoever writes last what is wanted gets it; in between nothing is lost or left running.
    """
    (master,) = world.instances()["master"]
    own, names = master.id, []
    start = ("start", "-s", "2", "mycluster")
    for hold, starting, where in held(world, start, world.save(), each=each):
        stopping = world.terminal(*STOP).wait()
        hold.release()
        done = starting.wait()
        world.wait_until_idle()
        where = f"{where}:\n{stopping.out}{stopping.err}\n{done.err}"
        assert "Traceback" not in done.err + stopping.err, where
        world.run("start", "mycluster") if world.ready() != ["master", "node001"] else None
        assert world.ready() == ["master", "node001"], where
        assert [one.id for one in world.instances()["master"]] == [own], where
        names.append(hold.name)
    return names
