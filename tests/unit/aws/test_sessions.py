"""What a process pays for each session with AWS."""

from __future__ import annotations

import subprocess
import sys

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
