"""The receipt that `terminate` leaves in the account, and `costs`, which reads it anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from spotcluster.local import answers

from .world import World

HERE = ("-r", "us-east-1")


def costs(world: World, *words: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = json.loads(
        world.run(*HERE, "costs", "--json", *words).out
    )
    return found


def test_what_has_ended_is_told_by_its_receipt(world: World) -> None:
    world.run("start", "-c", "bare", "mycluster")
    before = costs(world)
    assert [one["name"] for one in before["running"]] == ["mycluster"]
    assert before["ended"] == []
    said = world.run("terminate", "-y", "mycluster").out
    assert "'mycluster' cost $" in said
    after = costs(world, "mycluster")
    assert after["running"] == []
    (receipt,) = after["ended"]
    assert 0 < receipt["usd"] < receipt["on_demand"]
    assert sum(one["nodes"] for one in receipt["lines"]) == 2
    assert receipt["usd"] == pytest.approx(sum(one["usd"] for one in receipt["lines"]), abs=1e-5)
    assert costs(world, "another")["ended"] == []


def test_receipt_that_may_not_be_kept_keeps_no_cluster(world: World) -> None:
    def refuse(number: int, name: str, do: Callable[[], Any]) -> Any:
        if name == "PutParameter":
            return answers.error("ssm", "AccessDeniedException", "You are not authorized.", 400)
        return do()

    world.run("start", "-c", "bare", "mycluster")
    world.on_call = refuse
    done = world.run("terminate", "-y", "mycluster")
    assert "the receipt is not kept in the account: " in done.err
    assert "'mycluster' cost $" in done.out
    assert world.left() == []
