"""What stands for moto's way to make an answer makes the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from moto.core import responses, serialize

from spotcluster.local import moto_private
from spotcluster.local.moto_private import xml

BODIES: dict[str, Any] = {
    "nothing": {},
    "texts": {"@xmlns": 'http://a/"b"&c', "a": "x < y & z > 0", "b": "", "c": None, "d": " \n'\""},
    "numbers": {"a": True, "b": False, "c": 0, "d": 1.5},
    "lists": {"set": {"item": [{"a": "1"}, {"a": {}}, {}, "", None, "text"]}, "none": []},
    "deep": {"a": {"b": {"c": {"d": [{"e": ["1", "2"]}]}}}},
    "letters": {"a": "Zürich 日本 \U0001f600"},
}


@pytest.mark.parametrize("kind", BODIES)
def test_answer_is_written_as_moto_writes_it(kind: str) -> None:
    body = {"Response": BODIES[kind]}
    assert xml(body) == _motos(body)


def test_name_that_would_break_out_of_its_element_is_refused_as_by_moto() -> None:
    body = {"Response": {"a b": "1"}}
    for write in (xml, serialize.xmltodict.unparse):
        with pytest.raises(ValueError, match="whitespace"):
            write(body)


def test_answer_says_what_moto_would_say(
    ec2: Any, run: Callable[..., Any], settle: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "a <b> & 'c'"}]}]
    run(2, TagSpecifications=tags)
    settle()
    answers: list[str] = []

    ec2.meta.events.register(
        "before-parse", lambda response_dict, **_: answers.append(_text(response_dict["body"]))
    )

    def ask() -> list[str]:
        answers.clear()
        ec2.describe_instances()
        ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["none"]}])
        ec2.describe_security_groups()
        ec2.describe_volumes()
        ec2.describe_instance_types(InstanceTypes=["c5.xlarge"])
        ec2.describe_availability_zones()
        return list(answers)

    quick = ask()
    monkeypatch.setattr(responses, "XFormedAttributePicker", serialize.XFormedAttributePicker)
    monkeypatch.setattr(serialize.ResponseSerializer, "get_value", moto_private._of_serializer)
    monkeypatch.setattr(serialize.EC2Serializer, "_serialize_body", lambda _, body: _motos(body))
    assert len(quick) == 6
    assert "<key>Name</key>" in quick[0]
    assert ask() == quick


def _motos(body: dict[str, Any]) -> str:
    """Return what moto's own way makes of an answer."""
    return str(serialize.xmltodict.unparse(body, full_document=True, short_empty_elements=True))


def _text(body: bytes) -> str:
    return re.sub("(?i)<requestid>[^<]*", "", body.decode())
