"""What there is in a region, and what it costs: as tables, as JSON, as a picture."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from commands import cli

from spotcluster.aws import images
from spotcluster.aws.session import Session

pytestmark = pytest.mark.usefixtures("in_module_cloud")


def test_prices_of_several_types_stand_side_by_side_the_cheapest_vcpu_first() -> None:
    said = cli("-r", "local", "spothistory", "c5.xlarge", "m5.large", "-d", "3")
    title, header, *rows = said.splitlines()
    assert title.startswith("Spot prices in local, last 3 days, USD per hour")
    assert header.split("  ")[0] == "type"
    prices = [float(row.split()[2]) for row in rows]  # of a vCPU
    assert prices == sorted(prices)
    assert {row.split()[0] for row in rows} == {"c5.xlarge", "m5.large"}
    for row in rows:
        per_core, price, fixed, saving, cores = (row.split()[n] for n in (2, 3, 6, 7, 8))
        assert float(per_core) == pytest.approx(float(price) / float(cores), abs=1e-4)
        assert saving == f"{1 - float(price) / float(fixed):.0%}"


def test_prices_as_json_have_every_change() -> None:
    found = json.loads(cli("-r", "local", "spothistory", "c5.xlarge", "-d", "2", "--json"))
    (zones,) = found.values()
    for zone in zones:
        prices = [price for _, price in zone["changes"]]
        assert zone["current"] == prices[-1]
        assert zone["maximum"] == max(prices)
        assert min(prices) <= zone["average"] <= max(prices)


@pytest.mark.parametrize(("name", "begin"), [("p.png", b"\x89PNG"), ("p.svg", b"<?xml")])
def test_prices_are_drawn(tmp_path: Path, name: str, begin: bytes) -> None:
    pytest.importorskip("matplotlib")
    cli("-r", "local", "spothistory", "c5.xlarge", "--plot", str(tmp_path / name))
    assert (tmp_path / name).read_bytes().startswith(begin)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_picture_without_a_file_goes_to_our_own_folder(module_home: Path) -> None:
    pytest.importorskip("matplotlib")
    said = cli("-r", "local", "spothistory", "c5.xlarge", "--plot")
    assert (module_home / "pictures" / "spothistory.png").read_bytes().startswith(b"\x89PNG")
    rows = said.splitlines()[2:]
    assert re.fullmatch(r"Current price: \$0\.\d{4} in us-east-1\w", rows[-3])
    assert [row.split(":")[0] for row in rows[-2:]] == ["Max price", "Average price"]
    current = float(rows[-3].split("$")[1].split()[0])
    assert current == min(float(row.split()[3]) for row in rows[:-3])


def test_what_is_no_picture_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    bad = cli("spothistory", "c5.xlarge", "--plot", str(tmp_path / "x.txt"), status=2)
    assert "is no picture" in bad
    bad = cli("spothistory", "c5.xlarge", "--plot", str(tmp_path / "no" / "x.png"), status=2)
    assert "does not exist" in bad


def test_instances_and_spot_requests_of_anybody_are_listed() -> None:
    session = Session("local")
    assert json.loads(cli("-r", "local", "listinstances", "--json")) == []
    image = images.default_image_id(session)
    made = session.ec2.request_spot_instances(
        InstanceCount=1,
        SpotPrice="0.9",
        LaunchSpecification={"ImageId": image, "InstanceType": "c5.xlarge"},
    )["SpotInstanceRequests"][0]
    instance = session.ec2.run_instances(
        ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1
    )["Instances"][0]["InstanceId"]
    session.ec2.get_waiter("instance_running").wait(
        InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    session.ec2.create_image(InstanceId=instance, Name="mine")
    listed = json.loads(cli("-r", "local", "listinstances", "--json"))
    assert "m5.large" in {one["type"] for one in listed}
    (request,) = json.loads(cli("-r", "local", "listspots", "--json"))
    assert (request["id"], request["bid"]) == (made["SpotInstanceRequestId"], 0.9)
    assert "$0.9000/h" in cli("-r", "local", "listspots")
    (image_of_mine,) = json.loads(cli("-r", "local", "listimages", "--json"))
    assert image_of_mine["name"] == "mine"


def test_regions_and_zones() -> None:
    regions = json.loads(cli("-r", "local", "listregions", "--json"))
    assert {"local", "us-east-1"} <= set(regions)
    zones = json.loads(cli("-r", "local", "listzones", "--json"))
    assert all(zone["name"].startswith("us-east-1") for zone in zones)
    assert len(zones) > 1
