"""The middleware: who is let in, what fails on demand, what moto does not have."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotcluster import files
from spotcluster.errors import LocalCloudError
from spotcluster.local import persistence
from spotcluster.local.cloud import Cloud
from spotcluster.local.images import UBUNTU

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def read(url: str, data: object = None, key: str = "") -> Any:
    headers = {"Authorization": f"LOCAL Credential={key}/-/-/control/"} if key else {}
    body = None if data is None else json.dumps(data).encode()
    with OPENER.open(urllib.request.Request(url, body, headers), timeout=60) as answer:
        return answer.read().decode()


@pytest.fixture
def faults(url: str, access_key: str) -> Callable[..., None]:
    def put(*rules: dict[str, Any]) -> None:
        read(f"{url}/control/faults", list(rules), access_key)

    return put


def test_another_key_is_refused_and_told_where_the_right_one_is(client: Any) -> None:
    with pytest.raises(ClientError, match="`spotcluster local status` prints") as error:
        client("ec2", access_key="AKIAIOSFODNN7EXAMPLE").describe_instances()
    assert error.value.response["Error"]["Code"] == "AuthFailure"
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        client("ssm", access_key="AKIAIOSFODNN7EXAMPLE").get_parameter(Name="/x")


@pytest.mark.parametrize("path", ["/", "/control/faults", "/control/status", "/moto-api/data.json"])
def test_without_a_key_nothing_is_told(url: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        read(f"{url}{path}")
    assert error.value.code == 401


def test_checkip_needs_no_key_and_says_where_one_comes_from(url: str) -> None:
    assert read(f"{url}/checkip") == "127.0.0.1\n"


def test_a_call_fails_as_often_as_it_was_told_to(ec2: Any, faults: Any) -> None:
    faults(
        {"action": "DescribeInstances", "count": 2, "code": "RequestLimitExceeded", "status": 503},
    )
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            ec2.describe_instances()
        assert error.value.response["Error"]["Code"] == "RequestLimitExceeded"
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    ec2.describe_instances()


def test_a_call_can_fail_after_it_took_effect(faults: Any, run: Any, describe: Any) -> None:
    faults({"action": "RunInstances", "count": 1, "code": "InternalError", "after": True})
    with pytest.raises(ClientError, match="InternalError"):
        run(ClientToken="once")
    assert len(describe()) == 1
    run(ClientToken="once")
    assert len(describe()) == 1


def test_a_rule_can_be_about_some_parameters_only(faults: Any, run: Any) -> None:
    faults(
        {
            "action": "RunInstances",
            "match": {"InstanceType": "c5.*"},
            "code": "InsufficientInstanceCapacity",
        },
    )
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        run(InstanceType="c5.large")
    run(InstanceType="m5.large")


def test_a_rule_with_an_unknown_field_is_refused(faults: Any) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        faults({"actoin": "RunInstances"})
    assert error.value.code == 400


def test_what_is_not_there_is_refused_and_not_a_server_error(ec2: Any) -> None:
    with pytest.raises(ClientError, match="does not have CreateFpgaImage") as error:
        ec2.create_fpga_image(InputStorageLocation={"Bucket": "b"})
    assert error.value.response["Error"]["Code"] == "UnsupportedOperation"


def test_ssm_names_the_default_image(client: Any, ec2: Any) -> None:
    name = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
    value = client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    assert value == UBUNTU
    (image,) = ec2.describe_images(ImageIds=[value])["Images"]
    assert image["OwnerId"] == "099720109477"
    assert image["RootDeviceName"] == "/dev/sda1"
    assert image["Architecture"] == "x86_64"
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 8


def test_the_image_of_the_lecture_notes_is_there(ec2: Any) -> None:
    assert ec2.describe_images(ImageIds=["ami-5b3fb632"])["Images"][0]["State"] == "available"


@pytest.mark.parametrize(("kind", "price"), [("c1.xlarge", 0.52), ("t3.micro", 0.0104)])
def test_pricing_tells_the_on_demand_price(client: Any, kind: str, price: float) -> None:
    fields = {"instanceType": kind, "regionCode": "us-east-1", "operatingSystem": "Linux"}
    answer = client("pricing").get_products(
        ServiceCode="AmazonEC2",
        Filters=[
            {"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in fields.items()
        ],
    )
    (product,) = [json.loads(text) for text in answer["PriceList"]]
    assert product["product"]["attributes"]["instanceType"] == kind
    (term,) = product["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    assert float(dimension["pricePerUnit"]["USD"]) == price


@pytest.mark.parametrize(("kind", "found"), [("gp3", ["GB-Mo 0.0800000000"]), ("io2", [])])
def test_pricing_tells_the_price_of_disks(client: Any, kind: str, found: list[str]) -> None:
    fields = {"productFamily": "Storage", "volumeApiName": kind, "regionCode": "us-east-1"}
    answer = client("pricing").get_products(
        ServiceCode="AmazonEC2",
        Filters=[
            {"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in fields.items()
        ],
    )
    dimensions = [
        dimension
        for text in answer["PriceList"]
        for term in json.loads(text)["terms"]["OnDemand"].values()
        for dimension in term["priceDimensions"].values()
    ]
    assert [f"{one['unit']} {one['pricePerUnit']['USD']}" for one in dimensions] == found


def test_pricing_finds_nothing_for_another_system(client: Any) -> None:
    fields = {"instanceType": "c5.large", "operatingSystem": "Windows"}
    answer = client("pricing").get_products(
        ServiceCode="AmazonEC2",
        Filters=[
            {"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in fields.items()
        ],
    )
    assert answer["PriceList"] == []


def test_a_new_daemon_finds_everything(
    ec2: Any, run: Any, settle: Any, cloud: Cloud, client: Any
) -> None:
    ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    group = ec2.create_security_group(GroupName="g", Description="g")["GroupId"]
    (instance,) = run(
        KeyName="k", InstanceMarketOptions={"MarketType": "spot"}, SecurityGroupIds=[group]
    )
    client("ssm").put_parameter(Name="/mine", Value="1", Type="String")
    settle()
    cloud.save()
    again = Cloud(cloud.folder)
    again.load()
    (found,) = again.instances()
    assert found.id == instance["InstanceId"]
    assert (found.state, found.ssh_port) == ("running", 2222)
    assert found.private_ip == instance["PrivateIpAddress"]
    (backend,) = again.backends()
    assert "k" in backend.key_pairs
    assert found.security_groups == [backend.get_security_group_from_id(group)]
    assert list(backend.spot_instance_requests) == [instance["SpotInstanceRequestId"]]


def test_state_of_another_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persistence, "FORMAT", 0)
    persistence.save(tmp_path, {})
    monkeypatch.undo()
    with pytest.raises(LocalCloudError, match="another version"):
        persistence.load(tmp_path)


def test_state_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    files.write_private(tmp_path / "state.pickle", b"\x80\x05")
    with pytest.raises(LocalCloudError, match="cannot be read"):
        persistence.load(tmp_path)
