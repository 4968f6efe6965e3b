"""NODE_INSTANCE_TYPE per group of nodes."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotcluster import config
from spotcluster.config import NodeGroup, NodeTypes, Template
from spotcluster.errors import ConfigError, UsageError

HEAD = "[key k]\n[cluster c]\nKEYNAME = k\n"


def types_of(text: str, last: int) -> list[str]:
    types = NodeTypes(text)
    return [types.of(f"node{index:03d}").type for index in range(1, last + 1)]


def test_groups_take_the_first_nodes_in_order_and_the_last_type_all_others() -> None:
    assert types_of("c5.xlarge:2, r5.large, m5.large", 5) == [
        "c5.xlarge",
        "c5.xlarge",
        "r5.large",
        "m5.large",
        "m5.large",
    ]


def test_a_type_alone_is_that_of_every_node() -> None:
    types = NodeTypes("c5.large")
    assert (types, types.groups, types.named) == ("c5.large", (), 0)
    assert types.of("node001") == types.of("node1000") == types.of("master") == types.rest


def test_master_is_in_no_group() -> None:
    assert NodeTypes("c5.xlarge:2, m5.large").of("master").type == "m5.large"


@pytest.mark.parametrize(
    ("item", "group"),
    [
        ("c5.xlarge", NodeGroup("c5.xlarge", None, 1)),
        ("c5.xlarge:3", NodeGroup("c5.xlarge", None, 3)),
        ("c5.xlarge : 3", NodeGroup("c5.xlarge", None, 3)),
        ("c5.xlarge:ami-12345678", NodeGroup("c5.xlarge", "ami-12345678", 1)),
        ("c5.xlarge:ami-12345678:2", NodeGroup("c5.xlarge", "ami-12345678", 2)),
    ],
)
def test_item_as_starcluster_writes_it(item: str, group: NodeGroup) -> None:
    assert NodeTypes(f"{item}, m5.large").groups == (group,)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("c5.xlarge:0, m5.large", "'0' in 'c5.xlarge:0' is not a number of nodes"),
        ("c5.xlarge:-1, m5.large", "'-1' in 'c5.xlarge:-1' is not a number of nodes"),
        ("c5.xlarge:two, m5.large", "'two' in 'c5.xlarge:two' is not a number of nodes"),
        ("c5.xlarge:٣, m5.large", "'٣' in 'c5.xlarge:٣' is not a number of nodes"),
        ("c5.xlarge:, m5.large", "'' in 'c5.xlarge:' is not a number of nodes"),
        ("c5.xlarge:999999999, m5.large", "is not a number of nodes"),
        ("c5.xlarge:ubuntu:2, m5.large", "'ubuntu' in 'c5.xlarge:ubuntu:2' is not the id of an i"),
        ("c5.xlarge:a:b:c, m5.large", "is not TYPE:COUNT or TYPE:IMAGE:COUNT"),
        ("big:2, m5.large", "'big:2' is not an instance type, as in c5.xlarge."),
        ("c5.xlarge:2, m5.large:3", "'m5.large:3' is the last item, so it is of all nodes that"),
        ("c5.xlarge:2", "'c5.xlarge:2' is the last item"),
        ("c5.xlarge m5.large", "'c5.xlarge m5.large' is not an instance type"),
        (",", "',' is not an instance type"),
    ],
)
def test_wrong_groups_are_said_with_their_line(value: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load_text(f"{HEAD}NODE_INSTANCE_TYPE = {value}\n", "f")
    (found,) = caught.value.problems
    assert found.startswith("f:4: [cluster c] NODE_INSTANCE_TYPE: ")
    assert said in found


def test_groups_may_stand_on_lines_of_their_own() -> None:
    text = f"{HEAD}NODE_INSTANCE_TYPE = c5.xlarge:2,  # fast\n  r5.large:1\n  m5.large\n"
    assert config.load_text(text, "f").template().node_instance_type == (
        "c5.xlarge:2, r5.large:1, m5.large"
    )


def test_more_nodes_than_the_cluster_has_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        config.load_text(
            f"{HEAD}CLUSTER_SIZE = 3\nNODE_INSTANCE_TYPE = c5.xlarge:2, m5.large\n"
            "[cluster small]\nEXTENDS = c\nCLUSTER_SIZE = 2\n",
            "f",
        )
    assert caught.value.problems == (
        "f:6: [cluster small]: 'c5.xlarge:2, m5.large' (NODE_INSTANCE_TYPE) is for at least 2"
        " workers, but CLUSTER_SIZE = 2 has 1 besides the master.",
    )


def test_size_that_the_file_leaves_to_the_command_line_is_checked_there() -> None:
    text = f"{HEAD}NODE_INSTANCE_TYPE = c5.xlarge:2, m5.large\n"
    template = config.load_text(text, "f").template()
    assert template.with_overrides(size=3).cluster_size == 3
    with pytest.raises(UsageError, match="CLUSTER_SIZE = 2 has 1 besides the master"):
        template.with_overrides(size=2)
    with pytest.raises(UsageError, match="CLUSTER_SIZE = 1 has none besides the master"):
        template.with_overrides()


def test_flag_replaces_all_groups() -> None:
    text = f"{HEAD}CLUSTER_SIZE = 3\nNODE_INSTANCE_TYPE = c5.xlarge:2, m5.large\n"
    template = config.load_text(text, "f").template()
    assert template.with_overrides(node_instance_type="c5.large").node_instance_type.groups == ()
    changed = template.with_overrides(node_instance_type="t3.micro:1,c5.large")
    assert changed.node_instance_type.of("node001").type == "t3.micro"


def test_template_of_a_cluster_started_before_there_were_groups_is_read() -> None:
    old = '{"name": "c", "keyname": "k", "node_instance_type": "c5.large", "cluster_size": 2}'
    assert Template.model_validate_json(old).node_instance_type.rest == NodeGroup("c5.large")


ITEMS = st.builds(
    lambda name, image, count: ":".join(x for x in (name, image, count) if x),
    st.sampled_from(["c5.large", "m5.xlarge", "u-6tb1.metal"]),
    st.sampled_from(["", "ami-12345678"]),
    st.sampled_from(["", "1", "2", "40"]),
)


@given(st.lists(ITEMS, max_size=5), st.integers(0, 300))
def test_groups_survive_json_and_every_node_keeps_its_own(items: list[str], more: int) -> None:
    text = ",".join([*items, "t3.nano"])
    types = NodeTypes(text)
    template = Template.model_validate(
        {
            "name": "c",
            "keyname": "k",
            "node_instance_type": text,
            "cluster_size": types.named + more + 1,
        }
    )
    for again in (
        Template.model_validate_json(template.model_dump_json(exclude_defaults=True)),
        copy.deepcopy(template),
        pickle.loads(pickle.dumps(template)),
    ):
        assert again == template
        assert again.node_instance_type.groups == types.groups
    whole = [types.of(f"node{index:03d}") for index in range(1, types.named + more + 1)]
    for group in types.groups:
        assert whole.count(group) == sum(g.count or 0 for g in types.groups if g == group)
    assert whole.count(types.rest) == more
