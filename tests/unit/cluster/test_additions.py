"""Who is adding nodes, and whether that process still lives."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotcluster.cluster import additions, owner
from spotcluster.cluster.additions import Addition
from spotcluster.cluster.bringup import naming

ELSEWHERE = "0123456789ab/1/1.0"


def of_a_dead_process() -> str:
    """Return the name of a process that has ended."""
    code = "from spotcluster.cluster import owner; print(owner.myself())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_this_process_lives_and_one_that_ended_does_not() -> None:
    assert owner.has_died(owner.myself()) is False
    assert owner.has_died(of_a_dead_process()) is True


def test_number_that_was_given_to_another_process_since_is_another_process() -> None:
    computer, _, _ = owner.myself().partition("/")
    assert owner.has_died(f"{computer}/{os.getpid()}/1.0") is True


@pytest.mark.parametrize("name", [ELSEWHERE, "", "x", "x/y/z"])
def test_of_a_process_elsewhere_nothing_is_known(name: str) -> None:
    assert owner.has_died(name) is None


def test_addition_elsewhere_is_cut_off_when_its_limits_have_passed() -> None:
    one = replace(Addition.new(2), owner=ELSEWHERE)
    assert not one.was_cut_off(longest=60)
    older = replace(one, began=datetime.now(UTC) - timedelta(seconds=61))
    assert older.was_cut_off(longest=60)


def test_addition_comes_back_from_its_tag() -> None:
    one = Addition.new(3)
    assert additions.read({"Name": "x", **one.tag}) == (one,)
    assert not one.was_cut_off(longest=60)


@pytest.mark.parametrize("value", ["", "a b", "a b c d", "a 1 yesterday", "a many 2026-11-21"])
def test_line_that_cannot_be_read_is_no_addition(value: str) -> None:
    assert additions.read({"spotcluster:adding:x": value}) == ()


@given(st.sets(st.integers(1, 50), max_size=20), st.integers(0, 20))
def test_names_that_were_passed_over_come_first(seen: set[int], number: int) -> None:
    names = [f"node{index:03d}" for index in seen]
    fresh = naming.left(["master", *names], number)
    assert len(set(fresh)) == number
    assert not set(fresh) & set(names)
    free = [index for index in range(1, 100) if index not in seen]
    assert [int(name[4:]) for name in fresh] == free[:number]
