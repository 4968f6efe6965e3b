"""`NOTIFY`: commands tell it what they have done, and do not wait for it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from commands import wait_until

from .commands import a_lost_node
from .world import World


def configure(world: World, hook: str) -> None:
    path = world.home / "config"
    path.write_text(f"[global]\nNOTIFY = {hook}\n{path.read_text()}")


def test_commands_tell_the_hook_what_they_have_done(world: World, tmp_path: Path) -> None:
    told = tmp_path / "told"
    configure(world, f"cat >>{told}; echo >>{told}")
    world.run("start", "-s", "2", "-c", "bare", "mycluster")
    world.run("stop", "-y", "mycluster")
    world.run("terminate", "-y", "mycluster")

    def all_told() -> bool:
        return told.exists() and len(told.read_text().splitlines()) == 3

    wait_until("three notes", all_told, 60)
    notes = [json.loads(line) for line in told.read_text().splitlines()]
    assert sorted((one["event"], one["text"]) for one in notes) == [
        ("ready", "'mycluster' is ready with 2 node(s)."),
        ("stopped", "'mycluster' is stopped; only disks cost money."),
        ("stopped", "'mycluster' is terminated."),
    ]
    assert {one["cluster"] for one in notes} == {"mycluster"}


def test_keeper_tells_the_hook_of_nodes_that_it_replaces(world: World, tmp_path: Path) -> None:
    told = tmp_path / "told"
    a_lost_node(world)
    configure(world, f"cat >>{told}; echo >>{told}")
    world.run("keep", "--once", "mycluster")
    wait_until("a note", lambda: told.exists() and told.read_text().endswith("\n"), 60)
    (note,) = [json.loads(line) for line in told.read_text().splitlines()]
    assert (note["event"], note["nodes"]) == ("replaced", 1)
    assert note["text"] == "1 node(s) of 'mycluster' that were lost are replaced."


@pytest.mark.parametrize("hook", ["exit 1", "sleep 600", "https://127.0.0.1:1/a-secret"])
def test_hook_that_fails_or_hangs_fails_and_delays_no_command(world: World, hook: str) -> None:
    configure(world, hook)
    done = world.run("start", "-s", "1", "-c", "bare", "mycluster")
    begin = time.monotonic()
    ended = world.run("terminate", "-y", "mycluster")
    assert time.monotonic() - begin < 30
    assert "a-secret" not in done.out + done.err + ended.out + ended.err
    assert world.left() == []
    for log in (world.home / "logs").glob("*"):
        assert "a-secret" not in log.read_text()
    sent = json.dumps([world.calls])
    assert "a-secret" not in sent
