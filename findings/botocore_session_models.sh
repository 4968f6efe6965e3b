#!/usr/bin/env bash
# botocore: what reads the models caches them, for one session only, so that each session of a
# process reads EC2's anew, and each client of EC2 holds one of its own for as long as it lives.
#
# A model is some 39,000 dictionaries. A notebook that connects to a cluster thirty times, or a tool
# that makes a session for each of thirty regions, so reads it thirty times and holds it as often.
# The sessions may share what reads them: it is the component "data_loader".
# Source: botocore/session.py, Session._register_data_loader; botocore/loaders.py, instance_cache.
# Ours: spotcluster/aws/session.py, `_models`; tests/unit/aws/test_sessions.py.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet botocore==1.44.8
cat >"$folder/finding.py" <<'PYTHON'
import gc
import sys
from collections import OrderedDict

import botocore
import botocore.session

read = []


def hear(event, args):
    if event == "open" and "/ec2/" in str(args[0]) and "service-2" in str(args[0]):
        read.append(args[0])


def client(session):
    return session.create_client(
        "ec2", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )


def dictionaries():
    gc.collect()
    return sum(isinstance(one, OrderedDict) for one in gc.get_objects())


sys.addaudithook(hear)
print("botocore", botocore.__version__)
first = botocore.session.Session()
held = [client(first), client(first)]
assert len(read) == 1, read
print("two clients of one session: the model is read once,", dictionaries(), "dictionaries")
before = dictionaries()
held.append(client(botocore.session.Session()))
more = dictionaries() - before
print("a client of another session: read", len(read), "times,", more, "dictionaries more")
assert len(read) == 2, read
assert more > 20_000, more
sharing = botocore.session.Session()
sharing.register_component("data_loader", first.get_component("data_loader"))
held.append(client(sharing))
print("one that has the first one's loader: still read", len(read), "times")
assert len(read) == 2, read
PYTHON
"$folder/venv/bin/python" "$folder/finding.py"
echo "Seen again: sessions share no models."
