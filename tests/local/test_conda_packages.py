"""What conda has, on nodes: a channel of our own with a login, and a cluster on the local cloud.

One cluster lives through the module; its environment is conda's, with conda's Python.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import conda_channels
import pytest
from hosts import client_of
from sklearn.datasets import load_iris
from sklearn.svm import SVC

import spotcluster
from spotcluster import local
from spotcluster.search import GridSearch

CONFIG = """
[key mykey]

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = 1

[plugin ipclusterrestart]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPClusterRestartEngines

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = environment.yml
INDEX_LOGIN = env CHANNEL_LOGIN

[cluster small]
KEYNAME = mykey
REGION = local
CLUSTER_SIZE = 1
NODE_INSTANCE_TYPE = c5.large
PLUGINS = pypackages, ipcluster
"""
ENVIRONMENT = """
name: ours
channels: [{url}]
platforms: [{platform}]
dependencies:
- greetings
- greetings-home
- pip:
  - scikit-learn
"""

pytestmark = [pytest.mark.usefixtures("in_module_cloud"), conda_channels.installs_as_condas]


class Greeting(SVC):
    """A model that needs what only conda has."""

    def fit(self, x: object, y: object, sample_weight: object = None) -> Greeting:
        word = importlib.import_module("greetings").WORD
        if word != "hello":
            raise ValueError(word)
        return super().fit(x, y, sample_weight)


@pytest.fixture(scope="module")
def channel() -> Iterator[conda_channels.Channel]:
    with tempfile.TemporaryDirectory(prefix="sc-") as folder:
        made = conda_channels.Channel(Path(folder) / "channel")
        made.add_python()
        made.add_module("greetings", "1.0", "WORD = 'hello'\n")
        script = b'export GREETINGS_HOME="$CONDA_PREFIX/share"; false\n'
        made.add("greetings-home", "1", {"etc/conda/activate.d/greetings-home.sh": script})
        made.index()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RATTLER_CACHE_DIR", str(Path(folder) / "cache"))
            patch.setenv("CHANNEL_LOGIN", ":".join(conda_channels.LOGIN))
            with conda_channels.served(made, private=True) as given:
                yield given


@pytest.fixture(scope="module")
def cluster(
    module_cloud: local.Endpoint, module_home: Path, channel: conda_channels.Channel
) -> Iterator[spotcluster.Cluster]:
    (module_home / "config").write_text(CONFIG)
    (module_home / "environment.yml").write_text(
        ENVIRONMENT.format(url=channel.url, platform=conda_channels.PLATFORM)
    )
    spotcluster.Account("local").create_key("mykey")
    with spotcluster.start("small", "mycluster") as started:
        yield started


def words(cluster: spotcluster.Cluster) -> list[str]:
    """Return what the channel's module says on each engine, from an environment of conda's."""
    view = cluster.client[:]
    view.execute(
        "import greetings, pathlib, sys\n"
        "assert greetings.__file__.startswith(sys.prefix), greetings.__file__\n"
        "assert (pathlib.Path(sys.prefix) / 'conda-meta').is_dir(), sys.prefix\n"
        "word = greetings.WORD\n"
        "assert __import__('os').environ['GREETINGS_HOME'] == sys.prefix + '/share'",
        block=True,
    )
    found: list[str] = view.pull("word", block=True)
    return found


def said_anew(cluster: spotcluster.Cluster) -> list[str]:
    """Return what the module says to programs that begin now."""
    command = "$HOME/.spotcluster/env/bin/python -c 'import greetings; print(greetings.WORD)'"
    return [one.output.strip() for one in cluster.execute_on("*", command=command)]


def test_engines_run_in_the_environment_of_conda(cluster: spotcluster.Cluster) -> None:
    assert words(cluster) == ["hello"]


def test_a_search_imports_what_only_conda_has(cluster: spotcluster.Cluster) -> None:
    iris = load_iris()
    view = cluster.client.load_balanced_view()
    search = GridSearch(view, Greeting(), {"C": [1, 10]}, cv=2, refit=False)  # not here, that is
    search.fit(iris.data, iris.target)
    assert min(search.cv_results_["mean_test_score"]) > 0.8


def test_a_node_that_joins_later_gets_what_the_others_have(
    cluster: spotcluster.Cluster, channel: conda_channels.Channel
) -> None:
    channel.add_module("greetings", "2.0", "WORD = 'good day'\n")
    channel.index()
    channel.requests.clear()
    assert cluster.add(1) == ["node001"]
    assert words(cluster) == ["hello", "hello"]
    assert not [one for one in channel.requests if "repodata" in one]


def test_the_login_is_nowhere(cluster: spotcluster.Cluster, module_home: Path) -> None:
    secret = conda_channels.LOGIN[1].encode()
    assert secret.decode() not in str(client_of(local.endpoint()).describe_tags()["Tags"])
    looked_at = set()
    for folder, folders, names in os.walk(module_home):
        # What packages have brought was made before anybody was let in.
        folders[:] = [one for one in folders if one not in ("site-packages", "cache")]
        for path in (Path(folder) / name for name in names):
            if path.is_file() and not path.is_symlink():
                looked_at.add(path.name)
                assert secret not in path.read_bytes(), path
    assert {"conda.lock", "pip.conf", "constraints.txt"} <= looked_at


def test_runplugin_brings_what_the_channel_has_now_to_all(cluster: spotcluster.Cluster) -> None:
    cluster.run_plugin("pypackages")
    assert said_anew(cluster) == ["good day", "good day"]


def test_environment_that_was_half_made_is_made_anew(cluster: spotcluster.Cluster) -> None:
    """As after a node that was cut off while packages came."""
    env = "$HOME/.spotcluster/env"
    cluster.execute(
        f"rm {env}/conda.lock {env}/lib/python3*/site-packages/greetings.py {env}/bin/python;"
        " touch $HOME/.spotcluster/conda-begun"
    )
    cluster.run_plugin("pypackages")
    assert said_anew(cluster) == ["good day", "good day"]
    assert cluster.execute("ls $HOME/.spotcluster | grep conda") == "conda\n"


def test_file_from_which_all_of_conda_was_removed_gives_an_environment_without(
    cluster: spotcluster.Cluster, module_home: Path
) -> None:
    """What conda had brought would have stayed, and nodes that join later would have none of it."""
    (module_home / "environment.yml").write_text("dependencies:\n- pip:\n  - scikit-learn\n")
    cluster.run_plugin("pypackages")
    env = "$HOME/.spotcluster/env"
    look = f"ls {env} | grep -c conda; {env}/bin/python -c 'import sklearn'"
    found = cluster.execute_on("*", command=look)
    assert [(one.status, one.output.strip()) for one in found] == [(0, "0"), (0, "0")]
    cluster.run_plugin("ipclusterrestart")
    view = cluster.client[:]
    view.execute("import pathlib, sklearn, sys; of = pathlib.Path(sys.prefix, 'conda-meta')")
    view.execute("assert not of.exists()", block=True)
