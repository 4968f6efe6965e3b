"""A data scientist's week: two users, a private index, an image, a search beside Dask, MLflow.

One story in the order of the file, each part of which other tests know by itself; only with
``SPOTCLUSTER_TEST_WEEK=1``. Shared files are the story of ``tests/nfs``, where kernels have NFS.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from spotcluster.plugins import environment
from spotcluster.ssh import keys

from .bed import mirrors
from .bed.image import python_version
from .bed.lab import INDEX_URL, Lab

WANTED = "SPOTCLUSTER_TEST_WEEK"
PASSWORD = "pa55word-of-the-week"
NAMES = ("alice", "bob")
CONFIG = """
[plugin private]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn, mylib
INDEX_URL = {index}
EXTRA_INDEX_URL = {private}
INDEX_LOGIN = netrc

[plugin people]
SETUP_CLASS = spotcluster.plugins.users.CreateUsers
USERS = {users}

[plugin dask]
SETUP_CLASS = spotcluster.plugins.dask.Dask
WORKERS_PER_NODE = 1

[cluster team]
EXTENDS = iptemplate
PLUGINS = private, people, ipcluster, dask

[cluster baked]
EXTENDS = team
NODE_IMAGE_ID = team:latest
"""
# Both at once: candidates on the engines, by MLflow's runs; columns on dask's workers.
THURSDAY = """
import json

import mlflow
from sklearn.datasets import load_digits
from sklearn.svm import SVC

import spotcluster
from spotcluster.search import GridSearch, persist_cv_splits, mlflow as tracker

digits = load_digits()
splits = persist_cv_splits(digits.data, digits.target, name="digits", random_state=42)
track = tracker("digits", tracking_uri="sqlite:///mlflow.db", usd_per_hour=0.034)
client = spotcluster.connect("week")
with spotcluster.connect_dask("week") as dask:
    search = GridSearch(client.load_balanced_view(), on_result=track, ledger="digits.ledger")
    search.launch_for_splits(SVC(), {"C": [1.0, 10.0], "gamma": [0.001, 0.01]}, splits)
    sums = dask.gather(dask.map(lambda column: sum(column), digits.data.T.tolist()))
    answers = dask.run(lambda: __import__("mylib").ANSWER)
    assert search.wait(timeout=500)
track.wait()
of = mlflow.MlflowClient(tracking_uri="sqlite:///mlflow.db")
runs = of.search_runs([of.get_experiment_by_name("digits").experiment_id])
children = [one for one in runs if "mlflow.parentRunId" in one.data.tags]
print(json.dumps({
    "best": round(float(max(search.cv_results_["mean_test_score"])), 5),
    "sums": round(sum(sums)) == round(digits.data.sum()),
    "answers": sorted(answers.values()),
    "runs": len(runs),
    "costs": all(any("usd" in name for name in one.data.metrics) for one in children),
}))
client.close()
"""
ENGINES = """
import ipyparallel, os
client = ipyparallel.Client(os.path.expanduser(
    "~/.spotcluster/ipython/security/ipcontroller-client.json"))
print(sorted(client[:].apply_sync(lambda: __import__("mylib").ANSWER)))
"""


@pytest.fixture(scope="module")
def week(lab: Lab) -> Iterator[Lab]:
    if not os.environ.get(WANTED):
        pytest.skip(f"a whole week takes minutes; {WANTED}=1 asks for it")
    pytest.importorskip("mlflow")
    if python_version() != environment.laptop_python():
        pytest.skip("engines need the Python of this computer, which the image does not have")
    folder = lab.folder / "mirrors"
    folder.mkdir()
    mirrors.make(folder, [])
    (lab.home / "keys").mkdir(mode=0o700, exist_ok=True)
    for name in NAMES:
        pair = keys.generate(f"{name}@laptop")
        (lab.home / "keys" / f"{name}.pub").write_text(f"{pair.public}\n")
        path = lab.home / "keys" / name
        path.touch(mode=0o600)
        path.write_text(pair.private)
    netrc = lab.home / "netrc"
    netrc.touch(mode=0o600)
    netrc.write_text(f"machine 172.31.0.1 login me password {PASSWORD}\n")
    users = "".join(f"\n    {name}: keys/{name}.pub" for name in NAMES)
    lab.configure(CONFIG.format(index=INDEX_URL, private=mirrors.URL, users=users))
    with mirrors.serving(lab, folder, f"me:{PASSWORD}"), pytest.MonkeyPatch.context() as patched:
        patched.setenv("NETRC", str(netrc))
        before = snapshots(lab)
        yield lab
    lab.clear()
    assert snapshots(lab) == before


def snapshots(lab: Lab) -> set[str]:
    found = lab.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    return {one["SnapshotId"] for one in found}


def said(lab: Lab, alias: str, name: str, command: str) -> str:
    done = lab.machine(alias).ssh(command, user=name, key=lab.home / "keys" / name)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_monday_a_cluster_is_set_up_and_tuesday_its_image_is_made(week: Lab) -> None:
    week.run("start", "-c", "team", "-s", "2", "first")
    for name in NAMES:
        assert said(week, "node001", name, "id -un") == name
    said(week, "node001", "alice", "echo export SECRET=hers >>.bash_history; echo 1 >notes")
    made = json.loads(week.run("ebsimage", "first", "node001", "team", "--json"))
    assert (made["image"], made["version"]) == ("team", 1)
    week.run("terminate", "-y", "first")
    assert week.machines == []


def test_wednesday_a_cluster_of_it_has_its_packages_and_its_users(week: Lab) -> None:
    week.run("start", "-c", "baked", "-s", "2", "week")
    for alias in ("master", "node001"):
        # Who was there comes back with what was kept, but for what nobody else should have.
        assert said(week, alias, "alice", "cat notes; cat .bash_history 2>/dev/null || true") == "1"
        listed = week.machine(alias).inside("/home/ipuser/.spotcluster/env/bin/python -m pip list")
        assert "mylib" in listed
        left = week.machine(alias).inside(f"grep -rlsF {PASSWORD} /etc /home /root /var || true")
        assert left == ""


def test_thursday_a_search_and_dask_share_the_nodes_and_mlflow_has_the_runs(week: Lab) -> None:
    found = json.loads(week.python(THURSDAY).splitlines()[-1])
    assert found == {
        "best": 0.99022,
        "sums": True,
        "answers": [42, 42],
        "runs": 5,
        "costs": True,
    }
    listed = week.run("results", str(week.folder / "digits.ledger"))
    assert "0.99" in listed


def test_friday_both_users_compute_and_a_node_joins_and_leaves(week: Lab) -> None:
    said(week, "master", "alice", f"cat >/srv/shared/engines.py <<'END'\n{ENGINES}\nEND")
    for name in NAMES:
        ran = said(week, "master", name, "sudo -n -u ipuser -i python /srv/shared/engines.py")
        assert ran == "[42, 42]"
    week.run("addnode", "week")
    assert said(week, "node002", "bob", "id -un") == "bob"
    ran = said(week, "master", "bob", "sudo -n -u ipuser -i python /srv/shared/engines.py")
    assert ran == "[42, 42, 42]"
    week.run("removenode", "-y", "week", "node002")
    week.run("terminate", "-y", "week")
    week.run("removeimage", "-y", "team:1")
    assert week.machines == []
    assert "team" not in week.run("listimages")
