"""The dispatcher on simulated engines: hundreds of them, that come and go."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import pytest
from simulated import BEGIN, Times, World
from simulated.controller import Task

from spotcluster.search.data.evaluations import Key
from spotcluster.search.dispatch.backlog import Backlog
from spotcluster.search.dispatch.detector import LossDetector
from spotcluster.search.dispatch.dispatcher import TICK, Dispatcher
from spotcluster.search.dispatch.messages import Message


def one_second(_: dict[str, Any]) -> float:
    return 1.0


def keys(number: int) -> list[Key]:
    return [(n, 0) for n in range(number)]


def test_all_are_done_once_and_in_nearly_the_time_that_engines_need() -> None:
    world = World(one_second)
    world.join(20)
    run = world.run(keys(600))
    assert sorted(run.done) == keys(600)
    assert run.twice == []
    assert run.retried == []
    assert 30 <= run.seconds < 35


def test_two_runs_are_alike() -> None:
    def once() -> tuple[int, float, list[Key]]:
        world = World(lambda params: 0.1 + params["n"] % 7 / 10, lost_hints=0.2)
        world.join(8)
        world.at(3.0, lambda: world.lose([1, 2]))
        run = world.run(keys(200))
        return world.sent, run.seconds, list(run.done)

    assert once() == once()


def test_results_of_a_message_of_which_nobody_heard_the_beginning_ended_the_search() -> None:
    class Unheard(Task):
        """Of which the client hears all but its beginning."""

        def hears(self, **note: Any) -> None:
            if note.pop("started", None) is None:
                super().hears(**note)

    class Deaf(World):
        def made(self, *args: Any) -> Task:
            made = super().made(*args)
            return Unheard(**{one.name: getattr(made, one.name) for one in fields(made)})

    world = Deaf(lambda _: 0.4)
    world.join(2)
    run = world.run(keys(40))
    assert world.hints > 2  # of results
    assert sorted(run.done) == keys(40)


def test_each_answer_had_a_step_of_its_own_where_engines_have_more_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which writes and syncs the ledger; near the end, and where results bring more, each has."""
    at: list[float] = []
    own = Dispatcher._step

    def step(self: Dispatcher) -> None:
        at.append(world.now - BEGIN)
        own(self)

    monkeypatch.setattr(Dispatcher, "_step", step)
    world = World(one_second)
    world.join(200)
    run = world.run(keys(6000))
    middle = [when for when in at if 5 < when < 20]
    assert world.received > 500
    assert len(middle) < 15 / TICK + 5
    assert run.seconds < 32


@pytest.mark.parametrize("lost_hints", [0.0, 0.5, 1.0])
def test_nothing_is_lost_when_engines_are_and_others_join(lost_hints: float) -> None:
    world = World(one_second, lost_hints=lost_hints)
    world.join(24)
    world.at(5.0, lambda: world.lose(range(8)))
    world.at(8.0, lambda: world.join(8) and None)
    world.at(12.0, lambda: world.drain(range(8, 16)))
    run = world.run(keys(500))
    assert sorted(run.done) == keys(500)
    assert not [one for one in run.done.values() if one.error]
    assert all(one.engine not in range(8) for one in run.done.values() if one.started > 1e6 + 5)
    # a draining engine begins nothing any more, but what it was asked to do first
    late = [one for one in run.done.values() if one.engine in range(8, 16)]
    assert all(one.started <= 1e6 + 12 for one in late)


def test_fifty_hosts_that_join_at_once_are_at_work_within_a_second() -> None:
    world = World(lambda _: 0.5, Times(sending=0.001))
    world.join(8, "node000")
    new: dict[str, list[int]] = {}

    def join() -> None:
        for n in range(50):
            new[f"node1{n:02}"] = world.join(4, f"node1{n:02}")

    world.at(5.0, join)
    run = world.run(keys(2000))
    assert sorted(run.done) == keys(2000)
    begun = {node: [world.engines[one].begun for one in ids] for node, ids in new.items()}
    assert max(min(each) for each in begun.values()) < 1e6 + 6.0
    assert max(max(each) for each in begun.values()) < 1e6 + 6.0 + 0.5
    # and each message was sized for all of them, and none waited for one that had another: half an
    # evaluation of theirs is more than a tenth of the time that is left
    assert run.seconds < 5.0 + 1.25 * (1000 - 8 * 5) / 208


@pytest.mark.parametrize("registered", ["host by host", "in turn"])
def test_each_of_fifty_hosts_of_sixteen_engines_evaluates_something_within_a_second(
    registered: str,
) -> None:
    """The controller is 20 ms away, imports take what EC2's processors take for them."""
    world = World(lambda _: 0.5, Times(way=0.02, sending=0.001, imports=0.5))
    world.join(8, "node000")
    nodes = [f"node1{n:02}" for n in range(50)]

    def join() -> None:
        if registered == "in turn":
            for node in nodes * 16:
                world.join(1, node)
        else:
            for node in nodes:
                world.join(16, node)

    world.at(5.0, join)
    run = world.run(keys(8000))
    assert sorted(run.done) == keys(8000)
    first = dict.fromkeys(nodes, float("inf"))
    for one in run.done.values():
        first[one.node] = min(first.get(one.node, 0.0), one.started)
    assert max(first[node] for node in nodes) < BEGIN + 5.0 + 1.0


def test_engines_that_work_are_given_more_while_hundreds_join() -> None:
    """Each of these is asked who it is first, which takes the client a second in all."""
    world = World(lambda _: 0.1, Times(sending=0.002))
    world.join(8, "node000")
    world.at(5.0, lambda: world.join(500) and None)
    run = world.run(keys(3000))
    assert sorted(run.done) == keys(3000)
    ends = sorted(one.ended for one in run.done.values() if one.node == "node000")
    gaps = [after - before for before, after in itertools.pairwise(ends) if after > 1e6 + 4]
    assert max(gaps) < 0.5


def test_what_kills_its_engines_ends_as_failed_and_nothing_else_does() -> None:
    def seconds(params: dict[str, Any]) -> float:
        if params["n"] == 77:
            raise RuntimeError
        return 0.3

    world = World(seconds, Times(noticed=2.0))
    world.join(12)
    run = world.run(keys(300))
    assert sorted(run.done) == keys(300)
    assert [key for key, one in run.done.items() if one.killed] == [(77, 0)]
    assert len(world.gone) == 3


def test_short_evaluations_of_a_cluster_end_together_and_need_few_messages() -> None:
    world = World(lambda _: 0.2)
    world.join(32)
    run = world.run([(n // 5, n % 5) for n in range(1600)])
    assert len(run.done) == 1600
    assert run.seconds < 1.025 * 10.0
    assert world.sent / run.seconds < 18


def test_very_short_evaluations_went_in_messages_of_twice_the_time_that_was_left() -> None:
    """What was sent before anything was known counted as a second each, for as long as it ran."""
    world = World(lambda _: 0.005)
    world.join(32)
    run = world.run([(n // 5, n % 5) for n in range(3200)])
    assert len(run.done) == 3200
    assert run.seconds < 1.4 * 0.5  # of which the scheduler takes a tenth of a second for itself


# Milliseconds of a support vector machine on scikit-learn's digits, by gamma (across) and C.
DIGITS = (
    (72, 55, 87, 95, 168),
    (34, 36, 102, 101, 172),
    (22, 36, 102, 112, 185),
    (22, 36, 102, 111, 183),
)


def test_two_engines_did_not_end_together_as_the_last_ones_were_taken_for_average_ones() -> None:
    grid = [{"C": 10.0**row, "gamma": 10.0**at} for row in range(4) for at in range(5)]
    world = World(lambda params: DIGITS[params["n"] // 5][params["n"] % 5] / 1000)
    world.join(2)
    run = world.run([(n, split) for n in range(20) for split in range(5)], params=grid.__getitem__)
    ends: dict[str, float] = {}
    for one in run.done.values():
        ends[one.uuid] = max(ends.get(one.uuid, 0.0), one.ended)
    assert max(ends.values()) - min(ends.values()) < 0.05  # it was 0.15
    assert world.sent <= 20


def test_an_engine_idled_for_a_look_when_the_first_messages_had_come_back() -> None:
    """A long message that waited with short ones stood for all of them, by their average."""
    world = World(lambda _: 0.001)
    world.join(2)
    run = world.run([(n // 5, n % 5) for n in range(4000)])
    for engine in (0, 1):
        mine = [one for one in run.done.values() if one.engine == engine]
        gaps = [after.started - before.ended for before, after in itertools.pairwise(mine)]
        assert max(gaps) < 0.5 * TICK


def test_messages_for_the_end_were_sent_when_first_ones_came_back_together() -> None:
    """Engines that were silent between two messages got two more, the second for later."""
    world = World(one_second, Times(scheduled=0.0))
    world.join(1000)
    run = world.run([(n // 5, n % 5) for n in range(30_000)])
    assert len(run.done) == 30_000
    assert run.seconds < 1.02 * 30.0  # 1.17 with these


def test_first_messages_of_many_engines_came_back_half_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that the scheduler, of which they are the most, had to send the other half again."""
    taken: list[int] = []
    gave_up = Backlog.give_up

    def counted(backlog: Backlog, message: Message) -> None:
        taken.append(len(backlog.open(message)))
        gave_up(backlog, message)

    monkeypatch.setattr(Backlog, "give_up", counted)
    world = World(one_second)
    world.join(300)
    world.run([(n // 5, n % 5) for n in range(12_000)])
    assert sum(taken) < 0.01 * 12_000  # what comes back


def test_many_engines_need_no_more_messages_than_a_controller_carries() -> None:
    world = World(one_second)
    world.join(500)
    run = world.run([(n // 5, n % 5) for n in range(20_000)])
    assert len(run.done) == 20_000
    assert run.twice == []
    assert run.seconds < 1.05 * 40.0
    assert world.sent / run.seconds < 100
    assert world.hints / run.seconds < 100 + 16


def test_a_search_that_is_resumed_needs_no_trial_to_fill_its_messages() -> None:
    world = World(lambda _: 0.2)
    world.join(32)
    world.run(keys(1600), took=(np.arange(1600), np.full(1600, 0.2)))
    without = World(lambda _: 0.2)
    without.join(32)
    without.run(keys(1600))
    assert world.sent < without.sent - 24  # a trial is a message for each engine, some of use


def test_candidates_are_finished_one_after_the_other_while_the_end_is_far() -> None:
    world = World(one_second)
    world.join(4)
    run = world.run([(n // 5, n % 5) for n in range(600)])
    early = [key[0] for key, one in run.done.items() if one.ended < 1e6 + 60]
    assert max(early) < 60  # of 120, in 60 of 150 s
    assert sum(early.count(n) == 5 for n in set(early)) > 0.8 * len(set(early))


def test_the_longest_were_begun_last() -> None:
    """One candidate takes very long, and nobody can know which."""

    def seconds(params: dict[str, Any]) -> float:
        return 6.0 if params["n"] == 310 else 0.3

    world = World(seconds)
    world.join(32)
    run = world.run([(n // 5, n % 5) for n in range(1600)])
    alone = world.work / 32
    assert run.seconds < alone + 3.0  # it was begun twice as late


def test_what_is_looked_at_grows_with_what_happens_and_not_with_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: Counter[str] = Counter()

    def counted(kind: type, name: str) -> None:
        own = getattr(kind, name)

        def look(*args: Any, **more: Any) -> Any:
            looks[name] += 1
            return own(*args, **more)

        monkeypatch.setattr(kind, name, look)

    counted(Message, "hints")
    counted(LossDetector, "look_after")
    counted(Backlog, "open")
    world = World(lambda _: 100.0)  # which is a thousand steps
    world.join(100)
    run = world.run(keys(100))
    assert len(run.done) == 100
    assert max(looks.values()) < 10 * world.sent


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_and_goes_all_is_done_once_and_only_what_kills_fails(seed: int) -> None:
    chance = random.Random(seed)
    deadly = set(chance.sample(range(100), chance.choice([0, 0, 1])))
    typical = chance.choice([0.01, 0.3, 2.0])

    def seconds(params: dict[str, Any]) -> float:
        if params["n"] in deadly:
            raise RuntimeError
        return random.Random(params["n"]).expovariate(1 / typical)

    times = Times(noticed=chance.choice([0.5, 5.0]), imports=chance.choice([0.0, 3.0]))
    world = World(seconds, times, lost_hints=chance.choice([0.0, 0.3, 1.0]))
    number = chance.choice([6, 12, 40])
    world.join(number)

    def happen(what: str) -> None:
        there = [one for one, engine in world.engines.items() if engine.alive]
        some = there[: number // 4]
        if what == "join":
            world.join(number // 4)
        elif len(there) > number // 2:
            (world.lose if what == "lose" else world.drain)(some)

    for _ in range(4):
        what = chance.choice(["lose", "join", "drain"])
        world.at(chance.uniform(0.2, 15.0), partial(happen, what))
    world.at(60.0, lambda: world.join(8) and None)
    wanted = [(n, split) for n in range(100) for split in range(2)]
    run = world.run(wanted)
    assert sorted(run.done) == wanted
    assert run.twice == []
    failed = {key[0] for key, one in run.done.items() if one.error}
    assert failed == {key[0] for key, one in run.done.items() if one.killed} == deadly
