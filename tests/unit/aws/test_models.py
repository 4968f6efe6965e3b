"""Models of AWS that know only what we call, in place of botocore's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.loaders import Loader

from spotcluster.aws import models

PROGRAM = """
import json
from botocore.stub import Stubber
from spotcluster.aws.session import Credentials, Session
session = Session("eu-west-1", credentials=Credentials("a", "b"))
looks = Session("eu-west-1", credentials=Credentials("a", "b"), looks=True).ec2
found = {"looks": [looks.meta.endpoint_url, sorted(looks.meta.service_model.operation_names)]}
for name in ("ec2", "ssm", "pricing", "service-quotas"):
    client = session.client(name, **({"region_name": "us-east-1"} if name == "pricing" else {}))
    found[name] = [client.meta.endpoint_url, sorted(client.meta.service_model.operation_names)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    models.write(path)
    return path


def test_clients_find_the_cut_models_and_the_same_endpoints(folder: Path) -> None:
    def clients(**more: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, **more},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return json.loads(done.stdout)

    cut, whole = clients(AWS_DATA_PATH=str(folder)), clients()
    assert cut["looks"][1] == ["DescribeInstances", "DescribeSecurityGroups"]
    assert len(cut["ec2"][1]) < 80 < len(whole["ec2"][1])
    assert {"RunInstances", "DescribeInstances", "CreateFleet"} < set(cut["ec2"][1])
    assert set(cut["ssm"][1]) == {"GetParameter", "GetParametersByPath", "PutParameter"}
    for name, (url, operations) in cut.items():
        assert url == whole[name][0]
        assert set(operations) <= set(whole[name][1])


def test_what_is_left_of_an_operation_is_all_that_it_sends_and_answers(folder: Path) -> None:
    """Each shape is there, with the same members, however deep it is."""
    own = botocore.session.Session()
    own.set_config_variable("data_path", str(folder))
    usual = botocore.session.Session()

    def tree(shape: Any, above: tuple[str, ...] = ()) -> Any:
        if shape is None or shape.name in above:
            return None
        inner = (*above, shape.name)
        if shape.type_name == "structure":
            parts = {name: tree(one, inner) for name, one in shape.members.items()}
        elif shape.type_name == "list":
            parts = {"": tree(shape.member, inner)}
        else:
            parts = {}
        return shape.type_name, shape.serialization, parts

    for service in ("ec2", "ssm"):
        cut, whole = own.get_service_model(service), usual.get_service_model(service)
        for name in cut.operation_names:
            one, other = cut.operation_model(name), whole.operation_model(name)
            assert tree(one.input_shape) == tree(other.input_shape), name
            assert tree(one.output_shape) == tree(other.output_shape), name


def test_cut_models_are_a_small_part_of_the_whole(folder: Path) -> None:
    (ec2,) = folder.glob("ec2/*/service-2.json")
    whole = len(json.dumps(Loader().load_service_model("ec2", "service-2")))
    assert ec2.stat().st_size < whole / 10
