"""Nodes whose packages are others than the master's, and what a cluster remembers of packages."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from moments import A_DATE

from spotcluster import templates
from spotcluster.aws import network, tags
from spotcluster.cluster import records
from spotcluster.cluster.bringup import packages
from spotcluster.cluster.lifecycle import runplugin
from spotcluster.cluster.records import Record
from spotcluster.config import Template
from spotcluster.config.settings import PluginSection
from spotcluster.errors import ClusterError, NodeError
from spotcluster.plugins import loader
from spotcluster.steps import Step

PKG = "starcluster.plugins.pypkginstaller.PyPkgInstaller"
IPC = "starcluster.plugins.ipcluster.IPCluster"
NEEDED: dict[str, Any] = {"name": "t", "keyname": "k", "node_instance_type": "c5.large"}
MASTER = {"numpy": "2.4.6", "scipy": "1.17.1", "tabulate": "0.10.0"}


def test_difference_is_said_in_words() -> None:
    own = {"numpy": "2.4.5", "scipy": "1.17.1", "rich": "14.0"}
    assert packages.difference(MASTER, MASTER) == ""
    assert packages.difference(own, MASTER) == (
        "it lacks tabulate 0.10.0; it has numpy 2.4.5 instead of 2.4.6; it has also rich 14.0"
    )
    many = {f"p{number}": "1" for number in range(8)}
    assert packages.difference({}, many).endswith("p4 1 and 3 more")


class Node:
    """A node with packages; None where it does not answer. `later` were installed by hand."""

    def __init__(
        self, alias: str, found: dict[str, str] | None, later: dict[str, str] | None = None
    ) -> None:
        self.alias, self.found, self.later = alias, found, later or {}
        self.is_master = alias == "master"
        frozen = "\n".join(self.later.values())
        self.account = SimpleNamespace(name="ipuser", run=lambda *_, **__: frozen)

    def run_each(self, steps: Sequence[Step]) -> list[str]:
        assert [(one.script, one.user) for one in steps] == [
            (templates.read("packages.sh"), "ipuser")
        ]
        if self.found is None:
            raise NodeError(self.alias, "it is busy.")
        marks = {name: " *" if name in self.later else "" for name in self.found}
        lines = [f"{name}-{version}{marks[name]}\n" for name, version in self.found.items()]
        return ["".join(lines)]


def test_node_with_other_packages_than_the_master_is_named() -> None:
    master, same = Node("master", MASTER), Node("node001", MASTER)
    other, silent = Node("node002", {**MASTER, "numpy": "2.4.5"}), Node("node003", None)
    notes: list[str] = []
    record = SimpleNamespace(installed_later=())
    cluster: Any = SimpleNamespace(master=master, note=notes.append, record=record)
    nodes: Any = [master, same, other, silent]
    packages.note_differences(cluster, nodes)
    assert notes == [
        "node002: its packages differ from the master's: it has numpy 2.4.5 instead of 2.4.6"
    ]


# --- the record -----------------------------------------------------------------------------------


def section(name: str, setup_class: str = PKG, **settings: str) -> PluginSection:
    return PluginSection(name=name, setup_class=setup_class, settings=settings)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A cluster of a master, and EC2's tags of its group."""
    plugins = (section("pypackages", packages="numpy, " * 200), section("ipcluster", IPC))
    template = Template(**NEEDED, plugins=plugins)
    kept = {
        **tags.split_text(template.model_dump_json(exclude_defaults=True)),
        tags.CLUSTER: "demo",
    }
    monkeypatch.setattr(records.network, "tag", lambda _, __, own: kept.update(own))
    monkeypatch.setattr(runplugin.packages, "note_differences", lambda *_: None)
    monkeypatch.setattr(runplugin.hooks, "call", lambda *_: None)
    record = Record("demo", "id", "sg-1", "vpc-1", 2, A_DATE, template, tags=dict(kept))
    reporter = SimpleNamespace(stage=lambda *_: None, failed=lambda *_: None)
    master = Node("master", {})
    return SimpleNamespace(
        record=record, session=None, reporter=reporter, nodes=[master], master=master, kept=kept
    )


def run(cluster: Any, one: PluginSection) -> list[PluginSection]:
    """Run a plugin; return the plugins that EC2 then says nodes get."""
    runplugin.run(cluster, one, loader.make(one.name, one.setup_class, dict(one.settings)))
    written = Template.model_validate_json(tags.join_text(cluster.kept))
    assert written == cluster.record.template
    return list(written.plugins)


def test_node_added_after_runplugin_got_the_former_packages(cluster: Any) -> None:
    changed = section("pypackages", packages="numpy, tabulate")
    assert run(cluster, changed) == [changed, section("ipcluster", IPC)]  # in fewer tags


def test_packages_of_another_plugin_come_before_engines_begin(cluster: Any) -> None:
    former = list(cluster.record.template.plugins)
    more = section("more", packages="tabulate")
    assert run(cluster, more) == [former[0], more, former[1]]
    assert run(cluster, more) == [former[0], more, former[1]]


def test_plugin_that_does_something_once_is_not_done_to_nodes_that_join(cluster: Any) -> None:
    former = list(cluster.record.template.plugins)
    stop = section("stop", "starcluster.plugins.ipcluster.IPClusterStop")
    assert run(cluster, stop) == former


def test_packages_that_the_master_could_not_install_are_not_remembered(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise NodeError("master", "there is no such package.")

    monkeypatch.setattr(runplugin.hooks, "call", fail)
    former = dict(cluster.kept)
    with pytest.raises(ClusterError, match="failed on master"):
        run(cluster, section("pypackages", packages="no-such"))
    assert cluster.kept == former


# --- what pip has installed since -----------------------------------------------------------------


def remembered(cluster: Any, **later: str) -> tuple[str, ...]:
    """Look at a master on which somebody has installed something; return what EC2 then says."""
    cluster.notes = []
    cluster.note = cluster.notes.append
    cluster.master = Node("master", {**MASTER, **dict.fromkeys(later, "1.0")}, later)
    worker = Node("node001", MASTER)
    packages.conclude(cluster, packages.listings(cluster, [cluster.master, worker]))  # type: ignore[list-item]
    group = network.Group("sg-1", "spotcluster-demo", "vpc-1", dict(cluster.kept))
    assert records._read(group).installed_later == cluster.record.installed_later
    return cluster.record.installed_later


def test_what_pip_had_installed_was_on_the_masters_disk_only(cluster: Any) -> None:
    assert remembered(cluster) == ()
    assert not tags.of_text(cluster.kept, tags.INSTALLED)
    theirs = "Theirs @ git+https://example.org/theirs.git@c0ffee"
    assert remembered(cluster, Theirs=theirs, more_itertools="more-itertools==1.0") == (
        theirs,
        "more-itertools==1.0",
    )
    assert remembered(cluster, more_itertools="more-itertools==1.0") == ("more-itertools==1.0",)
    assert remembered(cluster) == ()  # somebody has taken it away again


def test_address_with_a_password_does_not_get_into_the_tags(cluster: Any) -> None:
    secret = "theirs @ git+https://me:pass@example.org/theirs.git"
    assert remembered(cluster, theirs=secret) == ()
    assert "pass@" not in str(cluster.kept)
    assert "would not have theirs, which pip has brought: name it in PACKAGES" in cluster.notes[-1]


def test_very_many_do_not_take_all_tags_of_the_group(cluster: Any) -> None:
    many = {f"package{number}": f"package{number}==1.0" for number in range(200)}
    assert remembered(cluster, **many) == ()
    assert "package4 and 195 more" in cluster.notes[-1]
