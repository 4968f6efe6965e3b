"""A template: its JSON, the command line's changes to it, its key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spotcluster import files
from spotcluster.cluster.secrets import without_secrets
from spotcluster.config import Permission, PluginSection, Template, Volume
from spotcluster.errors import UsageError


def make(**changes: Any) -> Template:
    given = {"name": "c", "keyname": "k", "node_instance_type": "c5.large"}
    return Template.model_validate(given | changes)


FULL = make(
    cluster_size=4,
    node_image_id="ami-12345678",
    spot_bid=0.5,
    force_spot_master=True,
    public_ips=False,
    volumes=(Volume(name="v", volume_id="vol-12345678", mount_path="/data"),),
    permissions=(Permission(name="p", from_port=1, to_port=2, cidr_ip="10.0.0.0/8"),),
    plugins=(PluginSection(name="x", setup_class="a.B", settings={"key": "ä, 'b'\n%s"}),),
    userdata_scripts=("/etc/a b", "/etc/c"),
    allow="192.0.2.7, 2001:db8::/32",
)


def test_json_there_and_back_is_the_same_template() -> None:
    assert Template.model_validate_json(FULL.model_dump_json()) == FULL
    assert Template.model_validate_json(FULL.model_dump_json(exclude_defaults=True)) == FULL


@given(
    st.builds(
        make,
        cluster_size=st.integers(1, 10_000),
        spot_bid=st.none() | st.floats(min_value=1e-5, max_value=1e3),
        force_spot_master=st.booleans(),
        public_ips=st.none() | st.booleans(),
        cluster_shell=st.sampled_from(["bash", "zsh"]),
        cluster_user=st.from_regex(r"[a-z_][a-z0-9_-]{0,31}", fullmatch=True).filter(
            lambda name: name != "root"
        ),
        allow=st.lists(st.ip_addresses().map(str)),
        ssh_timeout=st.integers(1, 86_400),
        plugins=st.lists(
            st.builds(
                PluginSection,
                name=st.from_regex(r"[a-z]{1,9}", fullmatch=True),
                setup_class=st.text(),
                settings=st.dictionaries(st.text(), st.text()),
            ),
            unique_by=lambda one: one.name,
        ),
    )
)
def test_any_template_survives_json(template: Template) -> None:
    assert Template.model_validate_json(template.model_dump_json()) == template
    assert Template.model_validate_json(template.model_dump_json(exclude_defaults=True)) == template


def test_place_of_the_key_on_this_computer_is_not_in_the_json() -> None:
    template = make(key_location="/home/ann/.ssh/k")
    assert "ann" not in template.model_dump_json()
    assert Template.model_validate_json(template.model_dump_json()).key_location is None


def test_address_and_block_are_written_in_one_form() -> None:
    assert FULL.allow == ("192.0.2.7/32", "2001:db8::/32")


def test_template_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        make().cluster_size = 3  # type: ignore[misc]  # what is tested


def test_command_line_wins_over_the_template() -> None:
    changed = FULL.with_overrides(size=2, bid=0.1, node_instance_type="m5.large", public_ips=True)
    assert changed == FULL.model_copy(
        update={
            "cluster_size": 2,
            "spot_bid": 0.1,
            "node_instance_type": "m5.large",
            "public_ips": True,
        }
    )


def test_flag_that_was_not_given_changes_nothing() -> None:
    template = make(key_location="/k")
    assert template.with_overrides(size=None, bid=None, force_spot_master=None) == template
    assert template.with_overrides(size=3).key_location == Path("/k")


def test_flag_may_take_back_what_the_template_says() -> None:
    assert FULL.with_overrides(force_spot_master=False).force_spot_master is False


def test_another_key_forgets_the_location_of_the_former() -> None:
    template = make(key_location="/k")
    assert template.with_overrides(keyname="other").key_location is None
    assert template.with_overrides(keyname="k").key_location == Path("/k")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"size": 0}, "--cluster-size 0: must be at least 1."),
        ({"size": -1}, "--cluster-size -1: must be at least 1."),
        ({"bid": 0}, "--bid 0: must be greater than 0."),
        ({"bid": float("nan")}, "--bid nan: is not a finite number."),
        ({"keyname": "../k"}, "--keyname ../k: is not the name of a key"),
        ({"node_instance_type": "big"}, "--node-instance-type big: is not an instance type"),
        ({"node_image_id": "x"}, "--node-image-id x: is not the id of an image"),
        ({"size": 0, "bid": -1}, "--cluster-size 0: must be at least 1. --bid -1: must be"),
        ({"force_spot_master": True}, "--force-spot-master: there is no bid"),
    ],
)
def test_wrong_flag_is_named(flags: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        make().with_overrides(**flags)
    assert str(caught.value).startswith(said)


def test_zone_that_is_not_in_the_region_is_refused_as_a_flag() -> None:
    with pytest.raises(UsageError, match=r"^--availability-zone eu-west-1a: is not in the region"):
        make(region="us-east-1").with_overrides(availability_zone="eu-west-1a")


def test_without_location_the_key_is_where_createkey_writes_it() -> None:
    assert make().key_path == files.key_file("k")


@pytest.mark.parametrize("bad", ["bastion:0", "bastion:65536", "a, b:99999", "ssh://b", "a,,b"])
def test_a_port_that_is_none_is_no_way_to_go_through(bad: str) -> None:
    with pytest.raises(ValidationError, match="not a host to go through"):
        make(proxy_jump=bad)
    assert make(proxy_jump="bastion:65535").proxy_jump == "bastion:65535"


def test_a_template_takes_the_jump_of_another_one_back_as_ssh_does() -> None:
    direct = make(proxy_jump="none")
    assert not direct.proxy_jump
    assert Template.model_validate_json(direct.model_dump_json()) == direct


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("own @ git+https://ghp_abc@git.example/own.git", True),
        ("own @ git+https://me:ghp_abc@git.example/own.git", True),
        ("own @ git+ssh://git@git.example/own.git", False),
        ("own @ https://git.example/own.whl", False),
    ],
)
def test_a_token_in_a_url_was_kept_in_tags(url: str, secret: bool) -> None:
    plugin = PluginSection(name="p", setup_class="a.B", settings={"packages": f"numpy, {url}"})
    kept = without_secrets(make(plugins=(plugin,))).plugins[0]
    assert (kept.withheld, "packages" in kept.settings) == (("packages",) * secret, not secret)


def test_tags_are_keys_and_values() -> None:
    template = make(tags="project:digits, at : 10:30,  cost center:a/b")
    assert template.users_tags == {"project": "digits", "at": "10:30", "cost center": "a/b"}
    assert Template.model_validate_json(template.model_dump_json()) == template


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("project", "'project' is not a tag, as in project:digits"),
        ("project:", "'project:' is not a tag"),
        ("a:1, a:2", "'a' is named twice"),
        ("name:x", "gives itself"),
        ("aws:x", "gives itself"),
        ("spotcluster:cluster", "gives itself"),
        ("a:b?", "has other than letters"),
        (f"{'a' * 129}:b", "is longer than EC2 takes"),
        (",".join(f"k{n}:v" for n in range(16)), "16 tags are more than 15"),
    ],
)
def test_wrong_tag_is_named(given: str, why: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(why)):
        make(tags=given)
