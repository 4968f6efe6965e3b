"""The local cloud's API without hosts: the application on a thread, and boto3 in front of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moments import HeldClock, Moment
from werkzeug.serving import make_server

from spotcluster.local import clock
from spotcluster.local.access.callers import Credentials
from spotcluster.local.application import Application
from spotcluster.local.cloud import Cloud
from spotcluster.local.images import UBUNTU

CREDENTIALS = Credentials("AKIATESTTESTTESTTEST", "secret")


@pytest.fixture(autouse=True)
def held_clock(moment: Moment, monkeypatch: pytest.MonkeyPatch) -> HeldClock:
    """Hold the local cloud's clock: nothing here depends on the day on which it is run."""
    held = HeldClock(moment.when, instead_of=clock.source)
    monkeypatch.setattr(clock, "source", held)
    return held


@pytest.fixture
def access_key() -> str:
    return CREDENTIALS.access_key


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


@pytest.fixture
def url(cloud: Cloud) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, Application(cloud, CREDENTIALS), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(url: str) -> Callable[..., Any]:
    """Make a boto3 client, which does not try again."""

    def make(
        service: str, access_key: str = CREDENTIALS.access_key, region: str = "us-east-1"
    ) -> Any:
        return boto3.client(
            service,
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=CREDENTIALS.secret_key,
            config=Config(retries={"max_attempts": 0}, proxies={}),
        )

    return make


@pytest.fixture
def ec2(client: Callable[..., Any]) -> Any:
    return client("ec2")


@pytest.fixture
def elsewhere(client: Callable[..., Any]) -> Any:
    """Return a client of another region."""
    return client("ec2", region="us-west-2")


@pytest.fixture
def settle(cloud: Cloud) -> Callable[[], None]:
    """Complete every change of state, as the reconciler does when hosts have followed."""

    def run() -> None:
        with cloud.lock:
            for instance in cloud.instances():
                if instance.state == "pending":
                    instance.has_booted(2222)
                elif instance.state == "stopping":
                    instance.has_stopped()
                elif instance.state == "shutting-down":
                    instance.has_ended()

    return run


@pytest.fixture
def run(ec2: Any) -> Callable[..., list[dict[str, Any]]]:
    """Launch one instance, or as many as asked for; return them as RunInstances gives them."""

    def launch(count: int = 1, **params: Any) -> list[dict[str, Any]]:
        given = {"ImageId": UBUNTU, "InstanceType": "c5.xlarge", **params}
        given.setdefault("MinCount", count)
        given.setdefault("MaxCount", count)
        instances: list[dict[str, Any]] = ec2.run_instances(**given)["Instances"]
        return instances

    return launch


@pytest.fixture
def describe(ec2: Any) -> Callable[..., list[dict[str, Any]]]:
    """Return instances as DescribeInstances gives them."""

    def instances(**params: Any) -> list[dict[str, Any]]:
        pages = ec2.get_paginator("describe_instances").paginate(**params)
        return [i for page in pages for r in page["Reservations"] for i in r["Instances"]]

    return instances


@pytest.fixture
def fleet(ec2: Any) -> Callable[..., dict[str, Any]]:
    ec2.create_launch_template(
        LaunchTemplateName="nodes",
        LaunchTemplateData={"ImageId": UBUNTU, "InstanceType": "c5.large"},
    )
    named = {"LaunchTemplateName": "nodes", "Version": "$Latest"}

    def make(
        overrides: list[dict[str, Any]], count: int, kind: str = "spot", **params: Any
    ) -> dict[str, Any]:
        answer: dict[str, Any] = ec2.create_fleet(
            LaunchTemplateConfigs=[{"LaunchTemplateSpecification": named, "Overrides": overrides}],
            **{
                "Type": "maintain",
                "TargetCapacitySpecification": {
                    "TotalTargetCapacity": count,
                    "DefaultTargetCapacityType": kind,
                },
                **params,
            },
        )
        return answer

    return make


@pytest.fixture
def keep(cloud: Cloud, settle: Callable[[], None]) -> Callable[[], None]:
    """Complete changes and look after fleets, as the reconciler does."""

    def run() -> None:
        settle()
        with cloud.lock:
            for backend in cloud.backends():
                backend.keep_fleets()
        settle()

    return run
