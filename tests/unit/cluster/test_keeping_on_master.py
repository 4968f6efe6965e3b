"""What a master can keep its cluster by: what is refused, and what a tag says of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spotcluster.aws import tags
from spotcluster.cluster.lifecycle.keeping import on_master, wanted
from spotcluster.cluster.lifecycle.keeping.decision import Rules
from spotcluster.cluster.records import Record
from spotcluster.config import Template
from spotcluster.config.settings import PluginSection


def template(**given: Any) -> Template:
    fields = {"name": "c", "keyname": "k", "node_instance_type": "c5.large", **given}
    return Template.model_validate({"instance_profile": "p", **fields})


def record(said: str | None = None, **given: Any) -> Record:
    own = {} if said is None else {tags.KEEP: said}
    what: Any = SimpleNamespace(template=template(**given), tags=own)
    what.keeps_itself = Record.keeps_itself.fget(what)  # type: ignore[attr-defined]
    return what  # type: ignore[no-any-return]


def plugin(**given: Any) -> PluginSection:
    setup = {"setup_class": "spotcluster.plugins.pypackages.PyPkgInstaller", "name": "x"}
    return PluginSection.model_validate({**setup, **given})


def refused(**given: Any) -> str:
    return " ".join(str(one) for one in on_master.refusals(template(**given)))


def test_what_the_master_can_do_is_refused_nobody() -> None:
    assert refused(plugins=(plugin(),)) == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"userdata_scripts": (Path("/a.sh"),)}, "USERDATA_SCRIPTS"),
        ({"plugins": (plugin(setup_class="mine.Own"),)}, "mine.Own of [plugin x]"),
        ({"plugins": (plugin(settings={"password": "hunter2"}),)}, "PASSWORD is a secret"),
    ],
)
def test_what_the_master_lacks_is_said_before_anything_is_made(
    given: dict[str, Any], said: str
) -> None:
    message = refused(**given)
    assert message.startswith("INSTANCE_PROFILE: the master")
    assert said in message
    assert "hunter2" not in message
    assert refused(**given, instance_profile=None) == ""


def test_rules_come_back_from_the_tag_as_they_were() -> None:
    rules = Rules(2, 20, 600.0, 60.0, 5.0, 3)
    assert wanted.rules(record(wanted.text(rules))) == rules
    assert len(wanted.text(rules)) <= 256  # what a tag takes


def test_who_has_a_profile_keeps_itself_unless_it_was_ended() -> None:
    found = wanted.rules(record(target="10m"))
    assert found is not None
    assert (found.least, found.most, found.target) == (None, None, 600)
    assert wanted.rules(record(tags.OFF)) is None
    assert wanted.rules(record(instance_profile=None)) is None


@pytest.mark.parametrize("said", ["{", '{"unknown": 1}', "[]"])
def test_rules_of_another_version_are_the_usual_ones(said: str) -> None:
    assert wanted.rules(record(said)) == wanted.rules(record())
