"""Split files that reach the nodes through a bucket, which the config names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from commands import cli, wait_until
from held import Held
from sklearn.datasets import load_iris

import spotcluster
from spotcluster import local
from spotcluster.aws.buckets.objects import Bucket
from spotcluster.aws.session import Session
from spotcluster.errors import CloudError
from spotcluster.search import GridSearch, persist_cv_splits

CONFIG = """
[key mykey]

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = 1

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn, psutil

[cluster iptemplate]
KEYNAME = mykey
REGION = local
NODE_INSTANCE_TYPE = c1.xlarge
SPLITS_BUCKET = my-bucket
PLUGINS = pypackages, ipcluster
"""


@pytest.mark.usefixtures("in_module_cloud")
def test_split_files_go_through_the_bucket(
    module_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (module_home / "config").write_text(CONFIG)
    cli("-r", "local", "createkey", "mykey")
    said = cli("start", "-c", "iptemplate", "-s", "2", "mycluster", status=1)
    assert "The bucket 'my-bucket' cannot be looked at" in said
    assert "SPLITS_BUCKET" in said
    assert cli("listclusters", "--json").strip() == "[]"  # and nothing was made

    s3 = Session("local").client("s3")
    s3.create_bucket(Bucket="my-bucket")
    cli("start", "-c", "iptemplate", "-s", "2", "mycluster")
    monkeypatch.chdir(tmp_path)  # the nodes are elsewhere, and see none of these files
    X, y = load_iris(return_X_y=True)
    names = persist_cv_splits(X, y, n_cv_iter=3, random_state=0)
    unseen = [f"/proc/self/cwd/{Path(name).name}" for name in names]
    with spotcluster.connect("mycluster") as client:
        gate = tmp_path / "gate"
        search = GridSearch(client)
        search.launch_for_splits(Held(str(gate)), {"C": [0.1, 1.0, 10.0]}, unseen)
        size = sum(Path(name).stat().st_size for name in names)
        # A node that has the files first could do it all before the other one has them.
        wait_until("the files to be on both", lambda: len(list(tmp_path.glob("gate.*"))) == 2)
        gate.touch()
        assert search.wait(600)
        assert search.failed() == []
        delivered = search.delivered()
        assert delivered == {"master": (0, size), "node001": (0, size)}
        client.close()
    objects = s3.list_objects_v2(Bucket="my-bucket")["Contents"]
    assert len(objects) == 3
    assert all(re.fullmatch("spotcluster/splits/[0-9a-f]{64}", x["Key"]) for x in objects)
    cli("terminate", "-y", "mycluster")


@pytest.mark.usefixtures("in_module_cloud")
def test_a_bucket_that_does_not_exist_is_named() -> None:
    assert local.status().running
    with pytest.raises(CloudError, match="The bucket 'none-such' cannot be looked at"):
        Bucket(Session("local"), "none-such").check()


def test_policy_for_a_bucket_is_for_our_files_in_it_only() -> None:
    with_it, without = (
        {one["Sid"]: one for one in json.loads(cli("iam-policy", *words))["Statement"]}
        for words in (("--bucket", "my-bucket"), ())
    )
    ours = [one for name, one in with_it.items() if name not in without]
    assert {one["Resource"] for one in ours} == {
        "arn:aws:s3:::my-bucket",
        "arn:aws:s3:::my-bucket/spotcluster/splits/*",
    }


def test_policy_for_files_is_for_that_bucket_only() -> None:
    with_it, without = (
        {one["Sid"]: one for one in json.loads(cli("iam-policy", *words))["Statement"]}
        for words in (("--files", "my-bucket"), ())
    )
    ours = [one for name, one in with_it.items() if name not in without]
    assert {one["Resource"] for one in ours} == {
        "arn:aws:s3:::my-bucket",
        "arn:aws:s3:::my-bucket/*",
    }
