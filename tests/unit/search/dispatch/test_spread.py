"""From where each host gets each split file."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotcluster.search.dispatch.spread import AT_ONCE, CLIENT, MOST, Spread

A, B, C = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture(autouse=True, scope="module")
def impatient() -> Iterator[None]:
    """Who waits looks up at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spotcluster.search.dispatch.spread.LOOK", 0.001)
        yield


def never() -> None:
    """What is asked while waiting."""
    raise AssertionError("it waits")


def serving(*nodes: str, has: tuple[str, ...] = ()) -> Spread:
    spread = Spread()
    for number, node in enumerate(nodes):
        spread.serves(node, number, {"address": "", "key": "", "has": list(has)})
    return spread


def test_the_first_host_gets_it_from_the_client_and_the_next_one_from_the_first() -> None:
    spread = serving("node001", "node002")
    assert spread.choose("node001", [A], never) == (A, CLIENT)
    spread.ended("node001", A, CLIENT, arrived=True)
    assert spread.choose("node002", [A], never) == (A, "node001")


def test_hosts_that_begin_together_get_different_files_from_the_client() -> None:
    spread = serving("node001", "node002", "node003")
    chosen = [
        spread.choose(node, [A, B, C], never)[0] for node in ("node001", "node002", "node003")
    ]
    assert sorted(chosen) == [A, B, C]


def test_a_host_waits_for_what_is_on_its_way_to_another() -> None:
    spread = serving("node001", "node002")
    spread.choose("node001", [A], never)
    with pytest.raises(AssertionError, match="it waits"):
        spread.choose("node002", [A], never)
    threading.Timer(0.1, lambda: spread.ended("node001", A, CLIENT, arrived=True)).start()
    assert spread.choose("node002", [A], lambda: None) == (A, "node001")


def test_a_host_that_cannot_serve_is_not_waited_for() -> None:
    spread = serving("node002")  # not node001: it could not listen
    assert spread.choose("node001", [A], never) == (A, CLIENT)
    assert spread.choose("node002", [A], never) == (A, CLIENT)


def test_a_host_that_left_with_a_file_under_way_is_not_waited_for() -> None:
    spread = serving("node001", "node002")
    spread.choose("node001", [A], never)
    spread.left("node001")
    assert spread.choose("node002", [A], never) == (A, CLIENT)
    spread.ended("node001", A, CLIENT, arrived=False)


def test_who_cannot_be_reached_is_not_tried_again_and_strangers_neither() -> None:
    spread = serving("node001", "node002", "node003", has=(A,))
    spread.serves("node004", 4, {"has": []})
    tried = set()
    for _ in range(2):
        digest, source = spread.choose("node004", [A], never)
        tried.add(source)
        spread.ended("node004", digest, source, arrived=False)
    assert len(tried) == 2
    assert spread.choose("node004", [A], never) == (A, CLIENT)


def test_a_host_serves_a_few_at_a_time() -> None:
    spread = serving("node001", has=(A,))
    for number in range(AT_ONCE):
        assert spread.choose(f"node1{number}", [A], never) == (A, "node001")
    with pytest.raises(AssertionError, match="it waits"):
        spread.choose("node200", [A], never)
    spread.ended("node10", A, "node001", arrived=True)
    assert spread.choose("node200", [A], never) == (A, "node001")


def test_a_host_that_is_slow_does_not_keep_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spotcluster.search.dispatch.spread.SLOW", -1.0)
    spread = serving("node001", has=(A,))
    for number in range(MOST):
        assert spread.choose(f"node1{number}", [A], never) == (A, "node001")
    with pytest.raises(AssertionError, match="it waits"):
        spread.choose("node200", [A], never)


def test_a_host_serves_the_next_while_what_it_has_sent_is_checked() -> None:
    spread = serving("node001", has=(A,))
    spread.choose("node002", [A], never)
    spread.passed_on("node002", A, "node001")
    assert spread.choose("node003", [A], never) == (A, "node001")
    spread.ended("node002", A, "node001", arrived=True)
    with pytest.raises(AssertionError, match="it waits"):
        spread.choose("node004", [A], never)


def test_a_host_that_was_given_up_keeps_no_other_busy() -> None:
    spread = serving("node001", "node002", has=(A,))
    spread.left("node002")
    spread.choose("node002", [A], never)
    spread.left("node002")
    assert spread.choose("node003", [A], never) == (A, "node001")


def test_hosts_that_have_died_are_no_reason_to_try_no_other() -> None:
    spread = serving("node001", "node002", "node003", has=(A,))
    for _ in range(2):
        digest, source = spread.choose("node004", [A], never)
        spread.ended("node004", digest, source, arrived=False)
        spread.left(source)
    digest, source = spread.choose("node004", [A], never)
    assert source not in {CLIENT, "node004"}


@pytest.mark.parametrize(("n_files", "most"), [(1, 8), (5, 20)])
def test_a_hundred_hosts_have_the_files_after_as_many_turns_as_doubling_takes(
    n_files: int, most: int
) -> None:
    nodes = [f"node{number:03}" for number in range(100)]
    files = [f"{number:064x}" for number in range(n_files)]
    spread = serving(*nodes)
    missing = {node: set(files) for node in nodes}
    turns = 0
    while any(missing.values()):
        turns += 1
        under_way = {}
        for node in nodes:
            with contextlib.suppress(AssertionError):
                if missing[node]:
                    under_way[node] = spread.choose(node, sorted(missing[node]), never)
        for node, (digest, source) in under_way.items():
            spread.ended(node, digest, source, arrived=True)
            missing[node].discard(digest)
    assert turns <= most  # one host needs as many as there are files, and log2(100) is 6.6


@given(st.integers(1, 9), st.integers(1, 6), st.randoms(use_true_random=False))
def test_the_client_sends_each_file_once_whatever_the_order(
    n_hosts: int, n_files: int, order: object
) -> None:
    nodes = [f"node{number:03d}" for number in range(n_hosts)]
    files = [f"{number:064x}" for number in range(n_files)]
    spread = serving(*nodes)
    missing = {node: set(files) for node in nodes}
    under_way: dict[str, tuple[str, str]] = {}
    sent: Counter[str] = Counter()
    while any(missing.values()):
        moves = [node for node in nodes if missing[node]]
        node = order.choice(moves)  # type: ignore[attr-defined] # a random.Random
        if node in under_way:
            digest, source = under_way.pop(node)
            spread.ended(node, digest, source, arrived=True)
            missing[node].discard(digest)
            continue
        try:
            under_way[node] = spread.choose(node, missing[node], never)
        except AssertionError:
            assert under_way, "nobody moves"
            continue
        if under_way[node][1] == CLIENT:
            sent[under_way[node][0]] += 1
    assert sent == Counter(files)
