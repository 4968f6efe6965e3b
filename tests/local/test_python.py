"""What commands do, from Python: a cluster as an object, on the local cloud.

One cluster lives through the module, and is terminated by the end of its `with`.
"""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from commands import cli
from sklearn.datasets import load_iris
from sklearn.svm import SVC

import spotcluster
from spotcluster import local
from spotcluster.errors import NoSuchCluster, RemoteCommandFailed, UsageError
from spotcluster.search import GridSearch

CONFIG = """
[key mykey]

[plugin ipcluster]
SETUP_CLASS = spotcluster.plugins.ipcluster.IPCluster
ENGINES_PER_NODE = 1

[plugin pypackages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
PACKAGES = scikit-learn

[cluster small]
KEYNAME = mykey
REGION = local
CLUSTER_SIZE = 1
NODE_INSTANCE_TYPE = c5.large
PLUGINS = pypackages, ipcluster

[cluster iptemplate]
EXTENDS = small

[cluster bare]
KEYNAME = mykey
REGION = local
CLUSTER_SIZE = 1
NODE_INSTANCE_TYPE = c5.large
"""

pytestmark = pytest.mark.usefixtures("in_module_cloud")


class Words(HTMLParser):
    """The words of a page whose elements are all closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "wbr":  # which has no end
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


@pytest.fixture(scope="module")
def cluster(module_cloud: local.Endpoint, module_home: Path) -> Iterator[spotcluster.Cluster]:
    (module_home / "config").write_text(CONFIG)
    made = spotcluster.Account("local").create_key("mykey")
    assert made.stat().st_mode & 0o777 == 0o600
    with spotcluster.start("small", "mycluster", size=2, bid=0.5) as started:
        assert started.region == "local"
        yield started
    assert started.state == "terminated"
    assert started.cost is not None
    assert "terminated" in " ".join(Words(started._repr_html_()).words)
    assert cli("listclusters", "--json").strip() == "[]"


def test_it_shows_its_nodes_and_its_cost(cluster: spotcluster.Cluster) -> None:
    assert cluster.state == "running"
    assert cluster.nodes == ["master", "node001"]
    assert (cluster.cost or 0) > 0
    words = Words(cluster._repr_html_()).words
    assert {"mycluster", "master", "node001", "spot", "on demand"} <= set(words)
    assert any("2 of 2 nodes in local" in one and "$" in one for one in words)
    assert repr(cluster) == "<Cluster 'mycluster' in local>"


def test_any_program_finds_it_by_its_name(cluster: spotcluster.Cluster) -> None:
    with spotcluster.Cluster("mycluster") as found:
        assert found.region == "local"
        assert len(found.client.ids) == 2
        client = found.client
        assert found.client is client
    assert cluster.state == "running"  # only its connections were closed
    with pytest.raises(NoSuchCluster, match="nobody"):
        spotcluster.Cluster("nobody", region="local")


def test_a_search_names_the_cluster(cluster: spotcluster.Cluster) -> None:
    iris = load_iris()
    search = GridSearch(cluster.client.load_balanced_view(), SVC(), {"C": [1, 10]}, cv=2)
    search.fit(iris.data, iris.target)
    words = Words(search._repr_html_().partition("<style")[0]).words
    assert any("of SVC on mycluster" in one for one in words)
    assert any(one["done"] == 4 for one in cluster.searches())


def test_engines_becoming_dask_opened_a_scheduler_that_this_computer_does_not_reach(
    cluster: spotcluster.Cluster,
) -> None:
    """It waited for half a minute, and left a scheduler without a key open on the master."""
    for become in (cluster.client.become_dask, cluster.client.become_distributed):
        with pytest.raises(UsageError, match="connect_dask"):
            become()


def test_its_size_changes(cluster: spotcluster.Cluster) -> None:
    assert cluster.add(1, bid=0.5) == ["node002"]
    assert cluster.remove("node002") == ["node002"]
    assert cluster.nodes == ["master", "node001"]
    with pytest.raises(UsageError, match="no node 'node007'"):
        cluster.remove("node007")


def test_what_is_done_on_nodes(cluster: spotcluster.Cluster, tmp_path: Path) -> None:
    assert cluster.execute("echo $((6 * 7))", node="node001") == "42\n"
    with pytest.raises(RemoteCommandFailed, match="status 3"):
        cluster.execute("exit 3")
    came = cluster.execute_on("node*", command="echo hi")
    assert [(one.alias, one.status, one.output) for one in came] == [("node001", 0, "hi\n")]
    (tmp_path / "there.txt").write_text("hello")
    assert cluster.put(tmp_path / "there.txt", to="work/").files[0].size == 5
    (tmp_path / "here").mkdir()
    cluster.get("work/there.txt", to=tmp_path / "here")
    assert (tmp_path / "here" / "there.txt").read_text() == "hello"
    cluster.put_on_all(tmp_path / "there.txt", to="everywhere/")
    assert cluster.execute("cat ~/everywhere/there.txt", node="node001") == "hello"
    assert "Host mycluster-node001" in cluster.ssh_config()
    with pytest.raises(UsageError, match="no way from a port"):
        cluster.tunnel("node001").__enter__()
    status = cluster.status()
    assert [one.alias for one in status.nodes if one.state == "ready"] == ["master", "node001"]
    assert cluster.autostop("2h") == 7200
    cluster.run_plugin("ipcluster")


def test_its_jobs(cluster: spotcluster.Cluster, tmp_path: Path) -> None:
    script = tmp_path / "hello.py"
    script.write_text("import sys; print('hello', *sys.argv[1:])")
    job = cluster.jobs.run(script, "you")
    told: list[str] = []
    assert cluster.jobs.wait(job.id, tell=told.append).state == "done"
    assert "".join(told) == cluster.jobs.output() == "hello you\n"
    assert [one.id for one in cluster.jobs.all()] == [job.id]
    assert cluster.jobs.cancel(job.id).status == 0


def test_it_stops_and_comes_back(cluster: spotcluster.Cluster) -> None:
    assert cluster.stop() == ["master"]
    assert cluster.state == "stopped"
    assert set(cluster.start()) == {"master", "node001"}
    assert set(cluster.restart()) == {"master", "node001"}
    assert len(cluster.client.ids) == 2


def test_an_exception_in_the_block_ends_the_cluster(
    cluster: spotcluster.Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    other = spotcluster.start("bare", "other")

    def fails() -> None:
        with other:
            assert other.nodes == ["master"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert [one.name for one in spotcluster.Account("local").clusters()] == ["mycluster"]
    assert [one.name for one in spotcluster.Account("local").costs("other").ended] == ["other"]
    with pytest.raises(NoSuchCluster):
        other.add(1)
    assert capfd.readouterr() == ("", "")


def test_the_first_block_of_the_page_does_what_it_says(cluster: spotcluster.Cluster) -> None:
    page = (Path(__file__).parents[2] / "docs" / "howto" / "python.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0].replace("mycluster", "another")
    things: dict[str, Any] = {}
    exec(code, things)
    assert things["best"] == {"C": 10, "gamma": 0.001}
    assert things["cost"] > 0
    assert things["cluster"].state == "terminated"
    assert sum(things["search"].evaluations_per_node().values()) == 12


def test_a_plan_makes_nothing(cluster: spotcluster.Cluster) -> None:
    plan = spotcluster.plan("small", "third", size=3, bid=0.5, node_instance_type="m5.large")
    assert [one.alias for one in plan.nodes] == ["master", "node001", "node002"]
    assert {one.type.name for one in plan.nodes if one.spot} == {"m5.large"}
    with pytest.raises(TypeError, match="unexpected keyword argument 'node_type'"):
        spotcluster.plan("small", "third", node_type="m5.large")
    assert len(spotcluster.Account("local").clusters()) == 1


def test_what_belongs_to_no_cluster(cluster: spotcluster.Cluster) -> None:
    account = spotcluster.Account("local")
    assert "local" in account.regions()
    assert account.zones()
    assert [one.name for one in account.key_pairs()] == ["mykey"]
    with pytest.raises(UsageError, match="no key pair 'other'"):
        account.remove_key("other")
    volume = account.create_volume(1, name="data")
    account.resize_volume("data", 2)
    assert [(one.volume.id, one.volume.size) for one in account.volumes()] == [(volume.id, 2)]
    account.remove_volume("data")
    assert account.volumes() == []
    assert account.spot_history("c5.large", days=1)["c5.large"]
    assert {one.cluster for one in account.instances() if one.state == "running"} == {"mycluster"}
    assert account.policy()["Version"]
