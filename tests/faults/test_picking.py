"""What stands for moto's way to make an answer makes the same."""

from __future__ import annotations

from typing import Any

import pytest
from moto.core import serialize

from .picking import xml

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
    assert xml(body) == serialize.xmltodict.unparse(
        body, full_document=True, short_empty_elements=True
    )


def test_name_that_would_break_out_of_its_element_is_refused_as_by_moto() -> None:
    body = {"Response": {"a b": "1"}}
    for write in (xml, serialize.xmltodict.unparse):
        with pytest.raises(ValueError, match="whitespace"):
            write(body)
