"""A region that cannot be looked in hides nothing of another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from spotcluster.aws import regions
from spotcluster.errors import CloudError, UsageError

REFUSED = CloudError("no credentials there")


def places(*names: str) -> list[Any]:
    return [SimpleNamespace(region=name) for name in names]


def showing(**there: Any) -> Callable[[Any], Any]:
    def look(session: Any) -> Any:
        found = there.get(session.region)
        if isinstance(found, Exception):
            raise found
        return found

    return look


def test_first_region_that_has_it_is_the_one() -> None:
    one, two, three = places("one", "two", "three")
    found = regions.first([one, two, three], showing(one=[], two=["here"], three=["too"]))
    assert found == (two, ["here"])


def test_regions_after_it_are_not_even_opened() -> None:
    """To open a session for the local cloud starts it."""

    def opened() -> Iterator[Any]:
        yield from places("one")
        pytest.fail("the second region was opened")

    assert regions.first(opened(), showing(one="here")) is not None


def test_region_that_refuses_hides_nothing() -> None:
    one, two = places("one", "two")
    assert regions.first([one, two], showing(one=REFUSED, two="here")) == (two, "here")


def test_refusal_is_told_where_no_region_has_it() -> None:
    with pytest.raises(CloudError, match="no credentials"):
        regions.first(places("one", "two"), showing(one=REFUSED))
    assert regions.first(places("one", "two"), showing()) is None


def test_each_region_is_asked() -> None:
    one, two, three = places("one", "two", "three")
    found, refused = regions.each([one, two, three], showing(one=1, two=REFUSED, three=3))
    assert found == [(one, 1), (three, 3)]
    assert refused == {"two": REFUSED}


@pytest.mark.parametrize("ask", [regions.first, regions.each])
def test_what_is_not_the_regions_fault_is_raised_at_once(ask: Callable[..., Any]) -> None:
    with pytest.raises(UsageError):
        ask(places("one", "two"), showing(one=UsageError("another name"), two="here"))
