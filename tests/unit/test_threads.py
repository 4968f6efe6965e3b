"""Something is done with several things at once, and whoever waits for it can be interrupted."""

from __future__ import annotations

import _thread
import contextvars
import threading
import time

import pytest

from spotcluster import threads

LIMIT = 20.0


def test_all_are_done_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=LIMIT)
    assert threads.on_each(["a", "b"], lambda _: both.wait())
    assert not both.broken


def test_threads_are_called_what_they_work_on() -> None:
    names: list[str] = []
    threads.on_each(
        [1, 2], lambda _: names.append(threading.current_thread().name), "node{}".format
    )
    assert sorted(names) == ["node1", "node2"]


def test_what_limits_us_limits_them() -> None:
    own: contextvars.ContextVar[int] = contextvars.ContextVar("own", default=0)
    own.set(7)
    seen: list[int] = []
    threads.on_each("ab", lambda _: seen.append(own.get()))
    assert seen == [7, 7]


def test_who_does_not_want_to_wait_any_more_leaves() -> None:
    end = threading.Event()
    assert not threads.on_each("a", lambda _: end.wait(LIMIT), until=lambda: True)
    end.set()


def test_thread_is_waited_for_as_long_as_is_said() -> None:
    end = threading.Event()
    thread = threads.begin(lambda: end.wait(LIMIT))
    assert not threads.wait_for(thread, 0.05)
    end.set()
    assert threads.wait_for(thread, LIMIT)


def test_ctrl_c_is_heard_while_they_go_on() -> None:
    end = threading.Event()

    def work(_: str) -> None:
        _thread.interrupt_main()
        end.wait(LIMIT)

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        threads.on_each("a", work)
    assert time.monotonic() - begin < LIMIT / 2
    end.set()
