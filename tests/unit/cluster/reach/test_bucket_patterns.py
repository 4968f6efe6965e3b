"""Which objects of a bucket a source names that is a pattern."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from spotcluster.aws.buckets.store import Object, Place, Store
from spotcluster.cluster.reach import buckets
from spotcluster.errors import UsageError

KEYS = sorted(
    (
        *("data/a.npy", "data/b.npy", "data/.c.npy", "data/more/d.npy", "data/more/e.txt"),
        *("data/x*y", "day1/", "day1/log", "day2/log", "day3", "notes.txt"),
    )
)


class Bucket:
    def objects(self, prefix: str) -> Iterator[Object]:
        return (Object(key, 1, "e", 0.0) for key in KEYS if key.startswith(prefix))


def named(pattern: str) -> list[str]:
    store = cast(Store, Bucket())
    return [one.name for one in buckets._found(store, Place("b", pattern)) if one.kind == "f"]


def test_patterns_match_as_in_a_shell() -> None:
    assert named("data/*.npy") == ["a.npy", "b.npy"]
    assert named("data/.*.npy") == [".c.npy"]
    assert named("data/[b-z].npy") == ["b.npy"]
    assert named("data/mor?") == ["more/d.npy", "more/e.txt"]
    assert named("*/more/*.txt") == ["e.txt"]
    assert named("day*") == ["day1/log", "day2/log", "day3"]
    assert named("day*/") == ["day1/log", "day2/log"]
    assert named("n*") == ["notes.txt"]


def test_object_whose_name_looks_like_a_pattern_is_just_that_object() -> None:
    assert named("data/x*y") == ["x*y"]


def test_pattern_that_matches_nothing_is_said_to() -> None:
    with pytest.raises(UsageError, match=r"Nothing matches s3://b/data/\*\.csv"):
        named("data/*.csv")
