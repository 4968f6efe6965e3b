"""How many messages there are, and how long they are."""

from __future__ import annotations

import random

import pytest

from spotcluster.search.dispatch import forecast, pace
from spotcluster.search.dispatch.durations import Durations
from spotcluster.search.dispatch.forecast import Forecast
from spotcluster.search.dispatch.messages import Message

PLENTY = 10**10  # evaluations


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(forecast, "time", made)
    return made


def message(work: float, *, begun: float = 0.0) -> Message:
    return Message((), None, 0.0, 10.0, begun=begun, work=work)


def known(*seconds: float) -> Durations:
    durations = Durations()
    for number, each in enumerate(seconds * pace.FIRST):
        durations.add((number, 0), each)
    return durations


def running(clock: Clock, *works: float) -> Forecast:
    made = Forecast()
    for work in works:
        made.begins(message(work, begun=clock.now))
    return made


@pytest.mark.parametrize("engines", [1, 8, 32, 200, 1000, 10_000])
def test_messages_of_all_engines_are_no_more_than_a_controller_carries(engines: int) -> None:
    made = pace.Pace(known(0.01), Forecast())
    lengths = [made.wanted(engines, PLENTY) for _ in range(1000)]
    assert engines / (sum(lengths) / 1000) <= pace.MANY * 1.01
    assert max(lengths) > 2 * min(lengths)  # or all engines would come back at once
    assert engines / pace.telling(engines) <= pace.HINTS


def test_few_evaluations_that_were_quick_say_nothing_of_the_next_ones() -> None:
    durations = Durations()
    made = pace.Pace(durations, Forecast())
    for number in range(8):
        assert made.wanted(8, PLENTY) == 0.0
        durations.add((number, 0), 0.01)
    assert made.wanted(8, PLENTY) > 0.0


def test_of_what_nothing_is_known_some_engines_get_several_and_the_first_ones_tell() -> None:
    made = pace.Pace(Durations(), Forecast())
    assert [made.untried(32, 1600, nth) for nth in (0, pace.FEWEST - 1, 32, 40)] == [1] * 4
    several = [made.untried(32, 1600, nth) for nth in range(pace.FEWEST, 32)]
    assert min(several) >= 3
    assert max(several) > 2 * min(several)  # or all engines would come back at once
    assert sum(several) < 1600 / 8
    assert made.untried(32, 200, pace.FEWEST) == 1
    assert pace.Pace(Durations(), Forecast(), more=True).untried(32, 1600, 20) == 1
    assert made.messages(32, waiting=1600) < made.messages(32, waiting=200)


def test_messages_are_shorter_where_evaluations_differ() -> None:
    alike, unlike = (pace.Pace(known(*each), Forecast()) for each in ([1.0], [0.1, 1.9]))
    lengths = [[made.wanted(32, PLENTY) for _ in range(100)] for made in (alike, unlike)]
    assert sum(lengths[1]) < 0.7 * sum(lengths[0])


def test_messages_of_few_engines_are_as_long_as_they_need_be() -> None:
    assert pace.length(2) == pace.SHORT
    assert pace.length(32) == pace.LONG


def test_near_the_end_messages_take_most_of_the_time_that_is_left(clock: Clock) -> None:
    made = pace.Pace(known(0.1), running(clock, *[1.0] * 32))
    # 32 s run and 32 s wait: in 2 s all could be done, and one sent now begins in 1 s.
    assert made.wanted(32, 320 + 32) == pytest.approx(0.9 * 1.1, abs=0.15)
    assert made.wanted(32, 1) >= pace.LEAST


def test_what_is_left_is_what_those_that_wait_take_and_not_the_average(clock: Clock) -> None:
    made = pace.Pace(known(1.0), running(clock, 2.0, 2.0))
    assert made.left(2, 10) == pytest.approx((10 + 4) / 2)
    made.goes(Message(((0, 0),), None, 0.0, 10.0, work=9.0))  # before anybody has said
    assert made.left(2, 10) == pytest.approx((10 + 4) / 2)
    made.waits(10, 3.0)
    assert made.left(2, 10) == pytest.approx((3 + 4) / 2)
    made.goes(Message(((0, 0), (0, 1)), None, 0.0, 10.0, work=1.0))
    assert made.left(2, 8) == pytest.approx((2 + 4) / 2)
    assert made.left(2, 12) == pytest.approx((2 + 4 + 4) / 2)  # of new ones nothing else is known


def test_what_is_not_known_well_is_spread_in_smaller_parts(clock: Clock) -> None:
    forecast = running(clock, *[1.0] * 32)
    sure, unsure = known(*[0.1] * 50), known(*[0.02, 0.18] * 50)
    parts = [pace.Pace(one, forecast).wanted(32, 640) for one in (sure, unsure)]
    assert parts[1] < 0.8 * parts[0]


def test_what_results_bring_does_not_wait_for_long_messages(clock: Clock) -> None:
    made = pace.Pace(known(0.02), running(clock, *[0.02] * 2), more=True)
    assert made.wanted(2, 54) < 0.2  # of half a second


def test_each_engine_has_a_message_that_waits_only_where_one_may_end_soon(clock: Clock) -> None:
    long = pace.Pace(known(1.0), running(clock, *[10.0] * 20))
    assert long.messages(20) == 20 + pace.SPARE
    soon = pace.Pace(known(1.0), running(clock, *[10.0] * 15, *[0.5] * 5))
    assert soon.messages(20) == 25 + pace.SPARE
    first = pace.Pace(Durations(), Forecast())  # longer ones follow when something is known
    assert first.messages(1000) == 1000 + pace.FIRST + pace.SPARE
    silent = pace.Pace(known(1.0), Forecast())  # nobody knows when they will end
    assert silent.messages(20) == 40 + pace.SPARE
    forecast = running(clock, 10.0)
    forecast.ended(next(iter(forecast._entries)))  # what waits for it begins in a moment
    assert pace.Pace(known(1.0), forecast).messages(20) == 20 + pace.SPARE


def test_forecast_follows_what_begins_and_ends(clock: Clock) -> None:
    made = Forecast()
    first, second, third = (message(work) for work in (4.0, 6.0, 8.0))
    for one in (first, second, third):
        made.waits(one)
    assert made.work() == 18.0
    for one in (first, second):
        one.begun = clock.now
        made.begins(one)
    assert made.running == 2
    clock.now += 5.0  # one is late
    assert made.work() == pytest.approx(1.0 + 8.0)
    assert made.due(0.5) == 1
    assert made.due(1.5) == 2
    made.ended(first)
    made.ended(first)
    made.waits(second)  # it was refused
    assert made.work() == pytest.approx(14.0)
    assert made.running == 0
    for one in (second, third):
        made.ended(one)
    assert made.work() == 0.0


def test_a_message_of_which_more_is_known_keeps_its_place(clock: Clock) -> None:
    made = running(clock, 1.0)
    first, second = message(1.0), message(1.0)
    for one in (first, second):
        made.waits(one)
    made.is_known(first, 5.0)
    assert made.start(1) == pytest.approx(1.0 + (5.0 + 1.0) / 2 + 5.0)
    first.begun = clock.now
    made.begins(first)
    made.is_known(first, 3.0)
    assert made.work() == pytest.approx(1.0 + 3.0 + 1.0)
    made.ended(first)
    assert made.work() == pytest.approx(1.0 + 1.0)


def test_only_long_messages_that_wait_keep_an_engine_busy(clock: Clock) -> None:
    made = Forecast()
    for work in (1.0, 0.001, 0.001):
        made.waits(message(work))
    assert made.waiting(0.2) == 1


def test_a_message_begins_when_those_before_it_have_begun(clock: Clock) -> None:
    made = running(clock, 3.0, 1.0, 2.0)
    assert made.start(4) == 0.0  # one is idle
    assert made.start(3) == pytest.approx(1.0)
    made.waits(message(1.0))
    assert made.start(3) == pytest.approx(2.0)
    for _ in range(3):
        made.waits(message(4.0))  # and the next has to wait for the end of the first that waits
    assert made.start(3) == pytest.approx(2.0 + 4.0)


def plainly(clock: Clock, waiting: list[Message], runs: list[Message], engines: int) -> float:
    """Say when one that is sent now will begin, by a look at all engines."""
    ends = sorted(max(0.0, one.begun + one.work - clock.now) for one in runs)
    free = [0.0] * max(0, engines - len(runs)) + ends
    rounds, nth = divmod(len(waiting), len(free))
    if not rounds:
        return free[nth]
    ends = sorted(own + one.work for own, one in zip(free, waiting, strict=False))
    return ends[nth] + (rounds - 1) * sum(one.work for one in waiting) / len(waiting)


@pytest.mark.parametrize("seed", range(20))
def test_forecast_of_when_one_begins_is_that_of_a_look_at_all_engines(
    clock: Clock, seed: int
) -> None:
    dice, made = random.Random(seed), Forecast()
    waiting: list[Message] = []
    runs: list[Message] = []
    for _ in range(300):
        clock.now += dice.choice([0.0, 0.1, 2.0])
        what = dice.random()
        if what < 0.5:
            waiting.append(message(dice.uniform(0.1, 9.0)))
            made.waits(waiting[-1])
        elif what < 0.7 and waiting:
            heard_of = dice.random() < 0.8  # or it begins as soon as it is sent
            one = waiting.pop(dice.randrange(len(waiting))) if heard_of else message(2.0)
            one.begun = clock.now
            made.begins(one)
            runs.append(one)
        elif gone := waiting if what < 0.8 else runs:
            made.ended(gone.pop(dice.randrange(len(gone))))
        for engines in (1, 4, 12) if seed % 2 else (6,):
            said = made.start(engines)
            assert said == pytest.approx(plainly(clock, waiting, runs, engines), abs=1e-6)


def test_forecast_looks_at_all_that_wait_once_however_many_are_sent(clock: Clock) -> None:
    looks = 0

    class Watched(Message):
        def __getattribute__(self, name: str) -> object:
            nonlocal looks
            looks += name == "work"
            return super().__getattribute__(name)

    made = Forecast()
    for _ in range(1000):
        made.waits(Watched((), None, 0.0, 10.0, work=1.0))
    made.start(1000)
    looks = 0
    for _ in range(500):
        made.waits(message(1.0))
        made.start(1000)
    assert looks == 0
