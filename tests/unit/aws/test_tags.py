"""State in tags."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spotcluster.aws import tags


@given(st.text(max_size=5000))
def test_a_long_text_comes_back_from_tags_as_it_was(text: str) -> None:
    split = tags.split_text(text)
    assert tags.join_text({**split, "Name": "x"}) == text
    assert all(len(value) <= 256 and len(key) <= 128 for key, value in split.items())


def test_filters_speak_ec2() -> None:
    assert tags.filters(cluster="demo", instance_state_name=["running"]) == [
        {"Name": "tag:spotcluster:cluster", "Values": ["demo"]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
