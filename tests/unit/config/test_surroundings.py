"""What a template says of disks, and of what others have made that nodes are launched into."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from spotcluster import config
from spotcluster.config import Template, disks
from spotcluster.errors import ConfigError

KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"


def make(**changes: Any) -> Template:
    given = {"name": "c", "keyname": "k", "node_instance_type": "c5.large"}
    return Template.model_validate(given | changes)


def test_all_of_it_is_kept_as_it_was() -> None:
    template = make(
        region="us-east-1",
        node_instance_profile="s3-reader",
        security_groups="sg-0123abcd, sg-4567cdef",
        kms_key=KEY,
        placement_group="cluster",
        capacity_reservation="cr-0123abcd",
        root_volume_size=100,
        root_volume_type="io2",
        root_volume_iops="20000",
    )
    assert template.security_groups == ("sg-0123abcd", "sg-4567cdef")
    assert Template.model_validate_json(template.model_dump_json(exclude_defaults=True)) == template


@pytest.mark.parametrize(
    "given",
    [
        {"kms_key": "alias/my-key"},
        {"kms_key": "alias/aws/ebs"},
        {"kms_key": "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"},
        {"kms_key": "mrk-0123456789abcdef0123456789abcdef"},
        {"kms_key": "arn:aws-cn:kms:cn-north-1:123456789012:alias/x"},
        {"kms_key": KEY, "region": "local"},
        {"placement_group": "my group"},
        {"root_volume_type": "gp2", "root_volume_size": 16_384},
        {"root_volume_size": 65_536},
        {"root_volume_iops": 80_000, "root_volume_throughput": 2_000},
        {"root_volume_iops": 80_000, "root_volume_size": 160},
        {"root_volume_throughput": 750},
        {"root_volume_iops": 3_000, "root_volume_size": 1},
        {"root_volume_type": "io1", "root_volume_iops": 64_000, "root_volume_size": 1_280},
    ],
    ids=str,
)
def test_what_ec2_takes_is_taken(given: dict[str, Any]) -> None:
    make(**given)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"security_groups": "default"}, "'default' is not the id of a security group"),
        ({"security_groups": "sg-0123abcd, sg-0123abcd"}, "'sg-0123abcd' is named twice"),
        (
            {"security_groups": ", ".join(f"sg-0000000{n:x}" for n in range(16))},
            "16 security groups are more than 15",
        ),
        ({"kms_key": "my-key"}, "is not a key of KMS"),
        ({"kms_key": KEY, "region": "eu-west-1"}, "is a key of us-east-1, and the cluster is in"),
        ({"capacity_reservation": "cr-x"}, "is not the id of a capacity reservation"),
        ({"placement_group": "a/b"}, "or the name of a placement group that is there"),
        ({"node_instance_profile": "a b"}, "is not the name of an IAM instance profile"),
        ({"root_volume_type": "st1"}, "is a type that no machine boots from"),
        ({"root_volume_type": "ssd"}, "is none of gp3, gp2, io1, io2"),
        ({"root_volume_type": "gp2", "root_volume_size": 16_385}, "1 to 16384 GiB"),
        ({"root_volume_type": "io2", "root_volume_size": 3, "root_volume_iops": 100}, "4 to 65536"),
        ({"root_volume_type": "io2"}, "'io2' (ROOT_VOLUME_TYPE) needs a number of IOPS"),
        ({"root_volume_type": "gp2", "root_volume_iops": 3000}, "follow from its size"),
        ({"root_volume_iops": 2_999}, "is not what gp3 has, 3000 to 80000"),
        ({"root_volume_iops": 80_001}, "is not what gp3 has, 3000 to 80000"),
        ({"root_volume_iops": 5_001, "root_volume_size": 10}, "11 GiB are enough for it"),
        (
            {"root_volume_type": "io1", "root_volume_iops": 501, "root_volume_size": 10},
            "is more than 10 GiB of io1 may have, 500",
        ),
        ({"root_volume_throughput": 124}, "is not what gp3 has, 125 to 2000 MiB/s"),
        ({"root_volume_throughput": 751}, "ROOT_VOLUME_IOPS = 3004 is enough for it"),
        (
            {"root_volume_type": "io2", "root_volume_iops": 100, "root_volume_throughput": 200},
            "cannot be chosen for a volume of io2",
        ),
    ],
    ids=str,
)
def test_what_ec2_would_refuse_is_named(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(why)):
        make(**given)


def test_all_that_is_wrong_is_said_at_once_with_its_line() -> None:
    text = """
[key k]
[cluster c]
KEYNAME = k
NODE_INSTANCE_TYPE = c5.large
SECURITY_GROUPS = default
KMS_KEY = my-key
PLACEMENT_GROUP = a/b
CAPACITY_RESERVATION = none
ROOT_VOLUME_TYPE = st1
ROOT_VOLUME_IOPS = 1
"""
    with pytest.raises(ConfigError) as caught:
        config.load_text(text, "config")
    said = str(caught.value)
    for number, key in enumerate(
        ("SECURITY_GROUPS", "KMS_KEY", "PLACEMENT_GROUP", "CAPACITY_RESERVATION"), start=6
    ):
        assert f"config:{number}: [cluster c] {key}:" in said
    assert "ROOT_VOLUME_TYPE" in said


def test_needed_iops_are_said_of_the_section() -> None:
    text = "[key k]\n[cluster c]\nKEYNAME = k\nNODE_INSTANCE_TYPE = c5.large\n"
    with pytest.raises(ConfigError, match=r"'io2' .* needs a number of IOPS, 100 to 256000"):
        config.load_text(f"{text}ROOT_VOLUME_TYPE = io2\n", "config")


@pytest.mark.parametrize("kind", disks.KINDS)
def test_every_type_can_be_written(kind: str) -> None:
    make(root_volume_type=kind, root_volume_iops=5_000 if kind.startswith("io") else None)
    assert disks.wrong_size(kind, None) == ""
