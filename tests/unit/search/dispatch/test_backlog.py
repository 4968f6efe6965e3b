"""What waits, and which messages should bring what."""

from __future__ import annotations

from spotcluster.search.data.evaluations import Key
from spotcluster.search.dispatch.backlog import Backlog
from spotcluster.search.dispatch.durations import Durations
from spotcluster.search.dispatch.messages import Message

KEYS: list[Key] = [(0, 0), (0, 1), (1, 0), (1, 1)]


def sent(backlog: Backlog, *keys: Key) -> Message:
    message = Message(keys, None, 0.0, 1.0)
    backlog.count_on(message)
    return message


def order(backlog: Backlog) -> list[Key]:
    """Take all that waits, one at a time, as nothing is known of how long it takes."""
    durations = Durations()
    found: list[Key] = []
    while keys := backlog.next(durations, 1):
        found += keys
    return found


def test_given_up_message_is_made_good_first_and_in_its_order() -> None:
    backlog = Backlog(KEYS)
    message = sent(backlog, *[backlog.next(Durations(), 1)[0] for _ in range(2)])
    assert backlog.open(message) == KEYS[:2]
    backlog.give_up(message)
    assert backlog.open(message) == []
    assert order(backlog) == KEYS


def test_what_another_message_should_bring_too_does_not_wait_again() -> None:
    backlog = Backlog(KEYS[:1])
    first, second = (sent(backlog, KEYS[0]) for _ in range(2))
    assert backlog.only_in(first) == []
    backlog.give_up(first)
    assert backlog.only_in(second) == [KEYS[0]]
    assert order(backlog) == []
    backlog.give_up(second)
    assert order(backlog) == [KEYS[0]]


def test_finished_evaluation_is_not_sent_again() -> None:
    backlog = Backlog(KEYS[:1])
    message = sent(backlog, KEYS[0])
    backlog.give_up(message)
    assert backlog.finish(KEYS[0]) == ()  # its result came after all
    assert order(backlog) == []
    assert not backlog.unfinished


def test_isolated_evaluations_travel_alone_where_durations_would_put_many_in_a_message() -> None:
    durations = Durations()
    durations.add((0, 0), 0.001)
    backlog = Backlog([(0, n) for n in range(6)])
    backlog.isolate([(0, 2)])
    taken = []
    while keys := backlog.next(durations, 1):
        taken.append(keys)
    assert taken == [[(0, 0), (0, 1)], [(0, 2)], [(0, 3), (0, 4), (0, 5)]]


def test_added_twice_is_done_once_and_the_urgent_goes_first() -> None:
    backlog = Backlog(KEYS[:2])
    backlog.add([KEYS[1], KEYS[2]])
    backlog.add([KEYS[3], KEYS[0]], first=True)
    assert order(backlog) == [KEYS[3], KEYS[0], KEYS[1], KEYS[2]]


def test_near_the_end_what_takes_longest_goes_first_once_it_is_known_what_that_is() -> None:
    durations = Durations()
    for key, seconds in (((0, 0), 1.0), ((1, 0), 3.0), ((2, 0), 2.0)):
        durations.add(key, seconds)
    backlog = Backlog([(n, split) for n in range(5) for split in (1, 2)])
    backlog.longest_first(durations)
    # Of 3 and 4 nothing is known but what is typical, which is 2 s.
    assert order(backlog) == [
        *[(3, 1), (4, 1)],
        *[(1, 1), (1, 2)],
        *[(2, 1), (2, 2), (3, 2), (4, 2)],
        *[(0, 1), (0, 2)],
    ]


def test_what_somebody_has_asked_for_first_stays_before_what_takes_longer() -> None:
    durations = Durations()
    durations.add((0, 0), 1.0)
    durations.add((1, 0), 3.0)
    backlog = Backlog([(1, 1)])
    backlog.add([(0, 1)], first=True)
    backlog.longest_first(durations)
    assert order(backlog) == [(0, 1), (1, 1)]


def test_messages_that_came_back_one_by_one_were_sent_again_in_reverse() -> None:
    backlog = Backlog(KEYS)
    first, second, third = (sent(backlog, *backlog.next(Durations(), 1)) for _ in range(3))
    for message in (second, first, third):
        backlog.give_up(message)
    assert order(backlog) == KEYS
