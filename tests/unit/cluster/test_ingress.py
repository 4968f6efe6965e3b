"""Which addresses may reach SSH, as this computer's address changes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spotcluster.aws import network
from spotcluster.cluster import ingress, owner
from spotcluster.errors import CloudError

MINE = f"spotcluster: caller {owner.this_computer()}"
THEIRS = "spotcluster: caller 0123456789ab"


class Rules:
    """A security group's rules for SSH, and a computer that has an address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.own_ipv6 = "2600:1f00::9/128"
        self.ssh: dict[str, str] = {}

    def caller_cidr(self, *, ipv6: bool) -> str:
        if ipv6:
            return self.own_ipv6
        if not self.address:
            raise CloudError("This computer's public address cannot be found.")
        return self.address

    def record(
        self, allow: tuple[str, ...] = (), *, ending: bool = False, subnet_id: str | None = None
    ) -> Any:
        from dataclasses import dataclass, field

        @dataclass(frozen=True)
        class Record:
            name: str = "demo"
            group_id: str = "sg-1"
            new: bool = False
            ending: bool = False
            template: Any = None
            ssh: dict[str, str] = field(default_factory=dict)

        template = SimpleNamespace(allow=allow, permissions=(), subnet_id=subnet_id)
        return Record(template=template, ssh=dict(self.ssh), ending=ending)


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> Rules:
    made = Rules("198.51.100.7/32")

    def change(permission: Any) -> tuple[str, str]:
        (kind,) = [key for key in permission if key.endswith("Ranges")]
        (one,) = permission[kind]
        cidr = one["CidrIpv6" if kind == "Ipv6Ranges" else "CidrIp"]
        assert permission["FromPort"] == permission["ToPort"] == 22
        return cidr, one.get("Description", "")

    def allow(_: Any, __: str, permissions: Any, *, new: bool) -> None:
        for permission in permissions:
            if "UserIdGroupPairs" not in permission:
                cidr, about = change(permission)
                made.ssh.setdefault(cidr, about)

    monkeypatch.setattr(network, "allow", allow)
    monkeypatch.setattr(network, "disallow", lambda _, __, one: made.ssh.pop(change(one)[0]))
    return made


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ("198.51.100.7/32", "203.0.113.9/32"),
        ("2001:db8::7/128", "203.0.113.9/32"),
        ("198.51.100.7/32", "2001:db8::9/128"),
    ],
)
def test_ssh_was_closed_to_a_laptop_that_had_moved(rules: Any, former: str, now: str) -> None:
    others = {"192.0.2.4/32": THEIRS, "192.0.2.5/32": "", "192.0.2.128/25": "the office"}
    rules.ssh = {former: MINE, **others}
    rules.address = now
    record = ingress.let_in(rules, rules.record())
    assert rules.ssh == {now: MINE, **others} == record.ssh


@pytest.mark.parametrize("there", ["198.51.100.7/32", "198.51.100.0/24", "0.0.0.0/0"])
def test_whoever_is_let_in_already_changes_nothing(rules: Any, there: str) -> None:
    rules.ssh = {there: THEIRS, "2001:db8::/32": ""}
    before = dict(rules.ssh)
    ingress.let_in(rules, rules.record())
    assert rules.ssh == before


def test_own_address_is_closed_when_a_block_that_it_is_not_in_lets_us_in(rules: Any) -> None:
    rules.ssh = {"203.0.113.9/32": MINE, "198.51.100.0/24": ""}
    ingress.let_in(rules, rules.record())
    assert rules.ssh == {"198.51.100.0/24": ""}


def test_whom_the_template_names_is_let_in_and_nobody_else(rules: Any) -> None:
    ingress.let_in(rules, rules.record(allow=("192.0.2.0/24",)))
    assert rules.ssh == {}
    ingress.open_group(rules, rules.record(), rules.record(allow=("192.0.2.0/24",)).template)
    assert rules.ssh == {"192.0.2.0/24": ""}


def test_cluster_that_ends_is_opened_to_nobody(rules: Any) -> None:
    ingress.let_in(rules, rules.record(ending=True))
    assert rules.ssh == {}


def test_address_that_cannot_be_found_stops_only_what_must_let_it_in(rules: Any) -> None:
    rules.address = ""
    record = rules.record()
    assert ingress.let_in(rules, record) is record
    with pytest.raises(CloudError, match="address cannot be found"):
        ingress.open_group(rules, record, record.template)


def test_nodes_of_ipv6_only_are_open_to_this_computers_own_address_of_that_kind(rules: Any) -> None:
    record = rules.record(subnet_id="subnet-1")
    ingress.open_group(rules, record, record.template, ipv6=True)
    assert rules.ssh == {"2600:1f00::9/128": MINE}
    rules.own_ipv6 = "2600:1f00::a/128"  # as it changes each day, for privacy
    ingress.let_in(rules, rules.record(subnet_id="subnet-1"))
    assert rules.ssh == {"2600:1f00::a/128": MINE}


def test_another_laptop_knows_by_the_rules_that_are_there(rules: Any) -> None:
    rules.ssh = {"2600:1f00::1/128": THEIRS}
    ingress.let_in(rules, rules.record(subnet_id="subnet-1"))
    assert rules.ssh == {"2600:1f00::1/128": THEIRS, "2600:1f00::9/128": MINE}
