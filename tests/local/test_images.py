"""Images of nodes on the local cloud: baked, listed, booted from, and without what is secret.

One cluster lives through the whole module; each test leaves it running for the next.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import cli, nodes
from hosts import client_of

from spotcluster import local

CONFIG = """
[key mykey]

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = 1

[cluster small]
KEYNAME = mykey
REGION = local
CLUSTER_SIZE = 2
NODE_INSTANCE_TYPE = c5.large
PLUGINS = pypackages, ipcluster

[cluster baked]
EXTENDS = small
NODE_IMAGE_ID = tools:latest
"""
HISTORY = "export PASSWORD=a-password-of-somebody"

pytestmark = pytest.mark.usefixtures("in_module_cloud")


@pytest.fixture(scope="module")
def cluster(module_cloud: local.Endpoint, module_home: Path) -> str:
    (module_home / "config").write_text(CONFIG)
    cli("createkey", "mykey")
    cli("start", "-c", "small", "first")
    return "first"


@pytest.fixture(scope="module")
def image(cluster: str) -> dict[str, Any]:
    """Bake the master, on which there is all that must not be in an image."""
    leave = f"echo '{HISTORY}' >>~/.bash_history; touch ~/.spotcluster/drain; echo mine >~/results"
    cli("sshmaster", cluster, leave)
    made: dict[str, Any] = json.loads(cli("ebsimage", cluster, "tools", "--json"))
    return made


def disk_of(home: Path, snapshot: str) -> Path:
    return home / "local" / "snapshots" / snapshot


def files_below(folder: Path) -> Iterator[Path]:
    for path, _, names in os.walk(folder):
        yield from (Path(path, name) for name in names if not Path(path, name).is_symlink())


def test_an_image_of_a_node_is_listed_and_only_it_is_left(
    image: dict[str, Any], module_cloud: local.Endpoint, module_home: Path, cluster: str
) -> None:
    assert (image["image"], image["version"], image["state"]) == ("tools", 1, "available")
    assert image["encrypted"]
    assert [one for one in image["packages"] if one.startswith("scikit_learn==")]
    assert image["install_seconds"] > 0
    (listed,) = json.loads(cli("-r", "local", "listimages", "--json"))
    assert {**listed, "name": ""} == {**image, "name": ""}
    ec2 = client_of(module_cloud)
    own = [{"Name": "tag-key", "Values": ["spotcluster:image"]}]
    (snapshot,) = ec2.describe_snapshots(Filters=own)["Snapshots"]
    assert snapshot["SnapshotId"] == image["snapshots"][0]
    kept = [one.name for one in (module_home / "local" / "snapshots").iterdir()]
    assert kept == image["snapshots"]
    assert list(nodes(cluster)) == ["master", "node001"]


def test_nothing_that_is_secret_is_in_it(image: dict[str, Any], module_home: Path) -> None:
    host = module_home / "local" / "hosts" / nodes("first")["master"]["id"]
    own = host / "home" / ".spotcluster"
    connections = list(own.rglob("security/*.json"))
    private = list((host / "home" / ".ssh").glob("id_*[!b]"))
    assert connections
    assert private
    secrets = {json.loads(one.read_text())["curve_serverkey"] for one in connections}
    secrets |= {*connections[0].with_name("curve").read_text().split()}
    assert len(secrets) == 2
    secrets |= {one.read_text().splitlines()[3] for one in private}
    secrets |= {HISTORY, (host / "home" / ".ssh" / "id_ed25519.pub").read_text().split()[1]}
    disk = disk_of(module_home, image["snapshots"][0])
    found = list(files_below(disk))
    assert len(found) > 1000
    for one in found:
        content = one.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], one
    there = sorted(one.name for one in (disk / "home" / ".spotcluster").iterdir())
    assert set(there) <= {"env", "uv", "constraints.txt"}
    assert (disk / "home" / "results").read_text() == "mine\n"


def test_the_node_has_all_that_it_had(image: dict[str, Any], module_home: Path) -> None:
    home = module_home / "local" / "hosts" / nodes("first")["master"]["id"] / "home"
    assert (home / ".spotcluster" / "drain").exists()
    assert HISTORY in (home / ".bash_history").read_text()
    assert cli("sshmaster", "first", "ssh -o BatchMode=yes node001 echo in") == "in\n"
    (home / ".spotcluster" / "drain").unlink()


def test_a_cluster_from_it_has_the_packages_already(
    image: dict[str, Any], module_home: Path
) -> None:
    plan = json.loads(cli("start", "-c", "baked", "--dry-run", "--json", "second"))
    assert {one["image"] for one in plan["nodes"]} == {image["id"]}
    # Whoever cannot reach an index now has what the image has, or nothing.
    uv = module_home / "local" / "cache" / "uv"
    aside = uv.rename(uv.with_name("aside"))
    try:
        said = cli("start", "-c", "baked", "--timeline", "second")
    finally:
        if uv.exists():
            for one in sorted(uv.rglob("*"), reverse=True):
                one.rmdir() if one.is_dir() and not one.is_symlink() else one.unlink()
            uv.rmdir()
        aside.rename(uv)
    assert "The packages of master, node001 were in the image tools:1:" in said
    assert "  node001 |" in said
    assert "installing packages" in said.partition("longest steps")[2]
    where = cli("sshmaster", "second", "python -c 'import sklearn; print(sklearn.__file__)'")
    assert nodes("second")["master"]["id"] in where
    assert cli("sshmaster", "second", "cat results") == "mine\n"
    assert cli("sshmaster", "second", "ls ~/.spotcluster/drain", status=2)
    (one,) = json.loads(cli("listclusters", "--json", "second"))
    assert len(one["nodes"]) == 2
