"""EXTENDS."""

from __future__ import annotations

import pytest

from spotcluster import config
from spotcluster.errors import ConfigError

BASE = """\
[key k]
[plugin a]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
[plugin b]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
"""


def load(text: str) -> config.Config:
    return config.load_text(BASE + text, "f")


def test_child_takes_what_it_does_not_say_itself() -> None:
    loaded = load(
        "[cluster small]\nKEYNAME = k\nNODE_INSTANCE_TYPE = c5.large\nCLUSTER_SIZE = 2\n"
        "[cluster large]\nEXTENDS = small\nCLUSTER_SIZE = 9\n"
    )
    large = loaded.template("large")
    assert (large.name, large.cluster_size, large.node_instance_type) == ("large", 9, "c5.large")
    assert loaded.template("small").cluster_size == 2


def test_lists_are_replaced_and_keep_their_order() -> None:
    loaded = load(
        "[cluster c]\nKEYNAME = k\nNODE_INSTANCE_TYPE = c5.large\nPLUGINS = b, a\n"
        "[cluster d]\nEXTENDS = c\nPLUGINS = a\n[cluster e]\nEXTENDS = c\nPLUGINS =\n"
    )
    assert [one.name for one in loaded.template("c").plugins] == ["b", "a"]
    assert [one.name for one in loaded.template("d").plugins] == ["a"]
    assert loaded.template("e").plugins == ()


def test_empty_value_takes_back_what_the_parent_says() -> None:
    loaded = load(
        "[cluster c]\nKEYNAME = k\nNODE_INSTANCE_TYPE = c5.large\nSPOT_BID = 1\n"
        "[cluster d]\nEXTENDS = c\nSPOT_BID =\n"
    )
    assert loaded.template("d").spot_bid is None


def test_order_in_the_file_does_not_matter_and_neither_does_the_case_of_a_name() -> None:
    loaded = load(
        "[cluster c]\nEXTENDS = B\n[cluster b]\nEXTENDS = a\nCLUSTER_SIZE = 2\n"
        "[cluster a]\nKEYNAME = k\nNODE_INSTANCE_TYPE = c5.large\nCLUSTER_SIZE = 3\n"
    )
    assert loaded.template("c").cluster_size == 2


def test_of_several_parents_the_later_wins() -> None:
    loaded = load(
        "[cluster a]\nKEYNAME = k\nCLUSTER_SIZE = 2\nSPOT_BID = 1\n"
        "[cluster b]\nNODE_INSTANCE_TYPE = c5.large\nCLUSTER_SIZE = 3\n"
        "[cluster c]\nEXTENDS = a, b\n"
    )
    template = loaded.template("c")
    assert (template.cluster_size, template.spot_bid) == (3, 1.0)


def test_template_that_others_complete_may_lack_what_they_say() -> None:
    loaded = load(
        "[cluster base]\nKEYNAME = k\n[cluster c]\nEXTENDS=base\nNODE_INSTANCE_TYPE=c5.large\n"
    )
    assert loaded.template().name == "c"
    with pytest.raises(ConfigError, match=r"\[cluster base\] NODE_INSTANCE_TYPE: is missing"):
        loaded.template("base")


def test_value_of_an_incomplete_template_is_checked() -> None:
    with pytest.raises(ConfigError) as caught:
        load("[cluster b]\nCLUSTER_SIZE = 0\n[cluster c]\nEXTENDS=b\nCLUSTER_SIZE=1\nKEYNAME = k\n")
    assert [one.partition("] ")[2][:12] for one in caught.value.problems] == [
        "CLUSTER_SIZE",
        "NODE_INSTANC",
    ]


def test_circle_is_refused_and_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        load("[cluster a]\nEXTENDS = b\n[cluster b]\nEXTENDS = c\n[cluster c]\nEXTENDS = a\n")
    circles = [one for one in caught.value.problems if "circle" in one]
    assert len(circles) == 1
    assert circles[0].endswith("in a circle: a -> b -> c -> a.")


def test_circle_is_refused_where_a_setting_is_looked_for_in_it() -> None:
    """It was followed without end: the setting has come from the parent that is in no circle."""
    with pytest.raises(ConfigError, match="in a circle: d -> d"):
        load("[cluster c]\nKEYNAME = k\n[cluster d]\nEXTENDS = c, d\n")


def test_endless_chain_is_refused() -> None:
    chain = "".join(f"[cluster c{n}]\nEXTENDS = c{n + 1}\n" for n in range(1100))
    with pytest.raises(ConfigError, match="more than 50 templates"):
        load(chain + "[cluster c1100]\n")


def test_templates_with_many_shared_parents_are_read_at_once() -> None:
    # Each level extends the one below twice over: 2 ** 40 ways to the bottom.
    levels = "".join(
        f"[cluster a{n}]\nEXTENDS = a{n - 1}, b{n - 1}\n[cluster b{n}]\nEXTENDS = a{n - 1}\n"
        for n in range(1, 40)
    )
    bottom = (
        "[cluster a0]\nKEYNAME = k\nNODE_INSTANCE_TYPE = c5.large\n[cluster b0]\nEXTENDS = a0\n"
    )
    assert load(bottom + levels).template("a39").keyname == "k"
