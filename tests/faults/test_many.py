"""A start asks EC2 as often for many workers as for few, but for what takes so many at once."""

from __future__ import annotations

import pytest

from spotcluster.local import launches

from .world import World


def asked(world: World) -> list[str]:
    return [name for name in world.calls if ": " not in name]


@pytest.mark.parametrize("number", [200])
def test_calls_of_a_start_do_not_grow_with_its_workers(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(launches, "MOST_INSTANCES", 2000)
    world.begin()
    world.run("start", "-c", "bare", "-s", str(1 + number), "mycluster", timeout=500)
    assert len(world.ready()) == 1 + number
    calls = asked(world)
    counted = sorted({name: calls.count(name) for name in calls}.items())
    assert len(calls) <= 60, "\n".join(f"{name} {times}" for name, times in counted)
    assert calls.count("CreateFleet") + calls.count("RunInstances") == 2
