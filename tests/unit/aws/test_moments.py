"""Timestamps of EC2's answers: read as botocore reads them, but faster."""

from __future__ import annotations

import pytest
from botocore.utils import parse_timestamp

from spotcluster.aws.session import moment


@pytest.mark.parametrize(
    "value",
    [
        *("2026-11-28T19:03:51Z", "2026-11-28T19:03:51.000Z", "2026-11-28T19:03:51.123456Z"),
        *("2026-11-28T19:03:51+01:00", "Sat, 28 Nov 2026 19:03:51 GMT", "20261128T190351Z"),
        *(1764356631, 1764356631.5, "1764356631"),
    ],
)
def test_moment_is_what_botocore_makes_of_it(value: object) -> None:
    assert moment(value) == parse_timestamp(value)
    assert moment(value).utcoffset() == parse_timestamp(value).utcoffset()


def test_what_is_no_moment_is_refused_as_by_botocore() -> None:
    with pytest.raises(ValueError, match="never"):
        moment("neverZ")
