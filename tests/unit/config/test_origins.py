"""Where each value comes from."""

from __future__ import annotations

from spotcluster import config
from spotcluster.config.origins import Origin

TEXT = """\
[aws info]
AWS_REGION_NAME = eu-west-1
[key k]
KEY_LOCATION = /k
[cluster base]
KEYNAME = k
SPOT_BID = 1
[cluster sized]
CLUSTER_SIZE = 3
SPOT_BID = 2
[cluster c]
EXTENDS = base, sized
NODE_INSTANCE_TYPE = c5.large
[cluster d]
EXTENDS = c
NODE_INSTANCE_TYPE = m5.large
[permission p]
FROM_PORT = 1
TO_PORT = 1
PROTOCOL = udp
CIDR_IP = 10.0.0.0/8
"""


def test_value_of_a_template_comes_from_a_line_through_templates() -> None:
    found = config.load_text(TEXT, "f").origins["cluster d"]
    assert found == {
        "keyname": Origin("f", 6, "cluster base", ("d", "c", "base")),
        "spot_bid": Origin("f", 10, "cluster sized", ("d", "c", "sized")),
        "cluster_size": Origin("f", 9, "cluster sized", ("d", "c", "sized")),
        "node_instance_type": Origin("f", 16, "cluster d"),
    }
    assert str(found["keyname"]) == "f:6, [cluster base], which d > c extend"
    assert str(found["node_instance_type"]) == "f:16"


def test_other_sections_have_origins_by_the_name_that_a_key_has_now() -> None:
    found = config.load_text(TEXT, "f").origins
    assert found["key k"] == {"key_location": Origin("f", 4, "key k")}
    assert found["permission p"]["ip_protocol"].line == 20
    assert "keyname" not in found["cluster sized"]


def test_variable_of_the_environment_is_an_origin() -> None:
    loaded = config.load_text(TEXT, "f", environ={"AWS_REGION": "local"})
    assert str(loaded.origins["aws info"]["aws_region_name"]) == "$AWS_REGION"


def test_empty_value_that_takes_back_a_parent_is_an_origin_too() -> None:
    loaded = config.load_text(f"{TEXT}[cluster e]\nEXTENDS = d\nSPOT_BID =\n", "f")
    assert loaded.origins["cluster e"]["spot_bid"] == Origin("f", 24, "cluster e")
