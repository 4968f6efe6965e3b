"""Which search is meant by how its id begins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from spotcluster.cluster.lifecycle import abort
from spotcluster.errors import UsageError

CLUSTER = cast("Any", SimpleNamespace(name="mycluster"))


@pytest.fixture(autouse=True)
def three_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        abort, "running", lambda _cluster: [{"id": "abc1"}, {"id": "abc12"}, {"id": "def"}]
    )


@pytest.mark.parametrize(("wanted", "found"), [("d", "def"), ("abc1", "abc1"), ("abc12", "abc12")])
def test_the_only_one_that_begins_so_or_is_called_so_is_chosen(wanted: str, found: str) -> None:
    assert abort.choose(CLUSTER, wanted)["id"] == found


def test_of_several_that_begin_so_none_is_aborted() -> None:
    with pytest.raises(UsageError, match=r"several searches begin with 'ab'.*\babc12\b"):
        abort.choose(CLUSTER, "ab")


@pytest.mark.parametrize("wanted", [None, ""])
def test_of_several_none_is_aborted_without_a_name(wanted: str | None) -> None:
    with pytest.raises(UsageError):
        abort.choose(CLUSTER, wanted)
