"""Names that are made when they are asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spotcluster.cluster.bringup import naming
from spotcluster.cluster.bringup.naming import Names
from spotcluster.config.node_types import NodeTypes


def test_names_are_a_sequence_like_any_other() -> None:
    names = naming.after(["node001"], 3).behind(["master"])
    assert list(names) == ["master", "node002", "node003", "node004"]
    assert (len(names), names[0], names[-1], names[1:3]) == (
        4,
        "master",
        "node004",
        list(names)[1:3],
    )
    assert "node003" in names
    assert "node005" not in names
    assert list(naming.left(["node003"], 3)) == ["node001", "node002", "node004"]
    assert not naming.after([], 0)


@given(
    st.lists(st.integers(1, 6), max_size=4),
    st.integers(0, 30),
    st.integers(0, 12),
)
def test_examples_are_of_every_kind_and_count_each_name_once(
    groups: list[int], number: int, first: int
) -> None:
    kinds = ["c5.large", "m5.large", "r5.large", "c5.xlarge"]
    named = [f"{kind}:{count}" for kind, count in zip(kinds, groups, strict=False)]
    types = NodeTypes(", ".join([*named, "t3.large"]))
    names = naming.after([f"node{first:03d}"], number)
    counted: dict[str, int] = {}
    examples = Names.of(names).examples(types.firsts)
    for alias, count in examples.items():
        kind = types.of(alias).type
        counted[kind] = counted.get(kind, 0) + count
    expected: dict[str, int] = {}
    for alias in names:
        kind = types.of(alias).type
        expected[kind] = expected.get(kind, 0) + 1
    assert counted == expected
    assert len(examples) <= len(groups) + 2
    assert set(examples) <= set(names)
