"""What a process pays for each session with AWS."""

from __future__ import annotations

import subprocess
import sys

import boto3

from spotcluster.aws.session import core_session

# In a process of its own: the tests' own sessions share more than the product's.
TWO = """
import sys
from spotcluster.aws.session import Credentials, Session

read = []
sys.addaudithook(
    lambda event, args: event == "open" and "/ec2/" in str(args[0]) and read.append(args[0])
)
for region in ("eu-west-1", "us-east-1"):
    Session(region, credentials=Credentials("a", "b")).ec2
    print(sum("service-2" in str(path) for path in read))
"""


def test_each_connection_read_ec2s_model_and_held_it_with_its_client() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWO], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["1", "1"]


def test_each_command_of_the_tests_read_the_models_anew() -> None:
    """They are read once for all processes of the tests; see `botocores`."""
    ours = core_session(of_the_user=False).get_component("data_loader")
    assert ours is boto3.Session()._session.get_component("data_loader")
