"""Instance types by what they must have, and not by their names."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.ec2.models.instance_types import INSTANCE_TYPES

SMALL = {"VCpuCount": {"Min": 2, "Max": 4}, "MemoryMiB": {"Min": 4096, "Max": 16384}}


def types_with(ec2: Any, architecture: str = "x86_64", **wanted: Any) -> list[str]:
    found = ec2.get_instance_types_from_instance_requirements(
        ArchitectureTypes=[architecture],
        VirtualizationTypes=["hvm"],
        InstanceRequirements={**SMALL, **wanted},
    )
    return [one["InstanceType"] for one in found["InstanceTypes"]]


def test_types_that_have_what_is_wanted(ec2: Any) -> None:
    found = types_with(ec2)
    assert {"c5.large", "m5.large", "c5.xlarge"} <= set(found)
    assert not {"t3.medium", "c5.2xlarge", "c7g.large", "x1e.xlarge"} & set(found)
    for name in found:
        info = INSTANCE_TYPES[name]
        assert 2 <= info["VCpuInfo"]["DefaultVCpus"] <= 4
        assert 4096 <= info["MemoryInfo"]["SizeInMiB"] <= 16384
    assert "c7g.large" in types_with(ec2, "arm64")
    assert "t3.medium" in types_with(ec2, BurstablePerformance="included")
    assert set(types_with(ec2, BurstablePerformance="required", CpuManufacturers=["amd"])) == {
        *("t3a.medium", "t3a.large", "t3a.xlarge")
    }
    assert types_with(ec2, AllowedInstanceTypes=["c5.*"]) == ["c5.large", "c5.xlarge"]
    assert not [n for n in types_with(ec2, ExcludedInstanceTypes=["c*"]) if n.startswith("c")]
    assert "c4.large" not in types_with(ec2, InstanceGenerations=["current"])
    assert all(
        INSTANCE_TYPES[one]["InstanceStorageSupported"]
        for one in types_with(ec2, LocalStorage="required")
    )
    on_ssd = set(types_with(ec2, LocalStorage="required", LocalStorageTypes=["ssd"]))
    on_hdd = set(types_with(ec2, LocalStorage="required", LocalStorageTypes=["hdd"]))
    assert on_ssd
    assert not on_ssd & on_hdd
    assert on_ssd | on_hdd == set(types_with(ec2, LocalStorage="required"))


def test_types_come_in_pages(ec2: Any) -> None:
    asked = {
        "ArchitectureTypes": ["x86_64"],
        "VirtualizationTypes": ["hvm"],
        "InstanceRequirements": SMALL,
    }
    pages = ec2.get_paginator("get_instance_types_from_instance_requirements").paginate(
        **asked, PaginationConfig={"PageSize": 7}
    )
    assert [one["InstanceType"] for page in pages for one in page["InstanceTypes"]] == types_with(
        ec2
    )


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"BareMetal": "perhaps"}, "InvalidParameterValue"),
        ({"CpuManufacturers": ["ibm"]}, "InvalidParameterValue"),
        ({"InstanceGenerations": ["next"]}, "InvalidParameterValue"),
        ({"VCpuCount": {"Min": 4, "Max": 2}}, "InvalidParameterValue"),
        ({"VCpuCount": {"Max": 2}}, "MissingParameter"),
        (
            {"AllowedInstanceTypes": ["c*"], "ExcludedInstanceTypes": ["m*"]},
            "InvalidParameterCombination",
        ),
        ({"NetworkBandwidthGbps": {"Min": 10}}, "UnsupportedOperation"),
    ],
)
def test_requirements_that_are_refused(ec2: Any, wanted: dict[str, Any], code: str) -> None:
    if wanted == {"VCpuCount": {"Max": 2}}:
        with pytest.raises(Exception, match="Min"):  # by botocore already
            types_with(ec2, **wanted)
        return
    with pytest.raises(ClientError, match=code):
        types_with(ec2, **wanted)
