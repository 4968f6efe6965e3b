#!/usr/bin/env bash
# moto: an account that has nothing has more than a thousand snapshots of its own.
#
# moto makes Amazon's images in each region, and for each a snapshot. Images that are asked for with
# Owners=["self"] are the account's only, as on EC2. Snapshots with OwnerIds=["self"] are all that there
# are, whosever they are: each says in the same answer that another account owns it. A program that
# removes its account's snapshots, or counts what they cost, cannot be tried there without looking at
# the owner itself.
# The local cloud answers as EC2 does: local/disks.py, with tests/unit/local/test_cloud_images.py.
# Source: moto/ec2/responses/elastic_block_store.py, where describe_snapshots does not read OwnerIds
# (5.2.5); EC2's reference, DescribeSnapshots.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'moto[ec2]==5.2.5' boto3==1.44.8
cat >"$folder/finding.py" <<'PYTHON'
import os
import sys
from importlib.metadata import version

os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}

import boto3
import moto

print("moto", version("moto"), "boto3", version("boto3"))
print("Expected: no image and no snapshot of an account's own where it has made none.")
with moto.mock_aws():
    account = boto3.client("sts", "us-east-1").get_caller_identity()["Account"]
    ec2 = boto3.client("ec2", "us-east-1")
    images = ec2.describe_images(Owners=["self"])["Images"]
    snapshots = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
print(f"images of {account}: {len(images)}; snapshots of it: {len(snapshots)}")
print("of these it owns", sum(one["OwnerId"] == account for one in snapshots))
sys.exit(bool(images) or len(snapshots) < 1000 or account in {one["OwnerId"] for one in snapshots})
PYTHON
"$folder/venv/bin/python" "$folder/finding.py"
