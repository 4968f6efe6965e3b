"""The grammar: what is read, and on which line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotcluster.config import grammar


def values(text: str) -> dict[str, str]:
    sections, problems = grammar.read(text, "f")
    assert not problems
    return {key: entry.value for one in sections for key, entry in one.entries.items()}


def problems(text: str) -> list[str]:
    return [str(one) for one in grammar.read(text, "f")[1]]


def test_section_and_key_names_are_read_in_any_case() -> None:
    (section,), found = grammar.read("[CLUSTER  IPtemplate]\nKeyName = MyKey\n", "f")
    assert not found
    assert (section.kind, section.name) == ("cluster", "IPtemplate")
    assert section.entries["keyname"].value == "MyKey"


@pytest.mark.parametrize("header", ["[aws info]", "[AWS  Info]", "[Aws Info] # mine"])
def test_aws_info_is_one_section(header: str) -> None:
    (section,), _ = grammar.read(f"{header}\nAWS_REGION_NAME = local\n", "f")
    assert (section.kind, section.name) == ("aws info", "")


def test_vol_is_short_for_volume() -> None:
    (section,), _ = grammar.read("[vol data]\n", "f")
    assert (section.kind, section.name) == ("volume", "data")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a = b", "b"),
        ("a: b", "b"),
        ("a=b   # why", "b"),
        ("a = b ; why", "b"),
        ("a = b\t# why", "b"),
        ("a = b#c", "b#c"),
        ("a = b;c", "b;c"),
        ("a = pip install %s", "pip install %s"),
        ("a = %(x)s ${y}", "%(x)s ${y}"),
        ("a =", ""),
        ("a = b = c", "b = c"),
        ("a = 'b'", "'b'"),
    ],
)
def test_value_ends_where_its_comment_begins(line: str, value: str) -> None:
    assert values(f"[global]\n{line}\n") == {"a": value}


def test_list_may_go_over_lines_with_comments_between() -> None:
    text = "[global]\na = one,\n    # not this\n    two, ; nor this\n    three\nb = 2\n"
    assert values(text) == {"a": "one,\ntwo,\nthree", "b": "2"}


def test_indented_section_is_read() -> None:
    assert values("[global]\n  a = 1\n\n  b = 2\n") == {"a": "1", "b": "2"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_whatever_ends_them(end: str) -> None:
    text = end.join(["# top", "", "[global]", "a = 1", "", "b = 2,", "   3", "c = 4", ""])
    (section,), _ = grammar.read(text, "f")
    assert {key: one.line for key, one in section.entries.items()} == {"a": 4, "b": 6, "c": 8}


def test_form_feed_does_not_count_as_a_line() -> None:
    assert problems("[global]\n# \x0c\x1c\u2028\nwrong\n") == [
        "f:3: [global]: this line is neither a [section] nor KEY = value nor a comment."
    ]


def test_every_wrong_line_is_found() -> None:
    text = "early = 1\n[global]\nwrong\na = 1\n= 2\n[cluster x\n[key k] a = 1\na = 3\n[global]\n"
    assert problems(text) == [
        "f:1: this line stands before the first [section].",
        "f:3: [global]: this line is neither a [section] nor KEY = value nor a comment.",
        "f:5: [global]: this line is neither a [section] nor KEY = value nor a comment.",
        "f:6: [global]: this line is neither a [section] nor KEY = value nor a comment.",
        "f:7: [global]: a [section] has a line of its own.",
        "f:8: [global] A: this key is already on line 4.",
        "f:9: [global]: this section is already on line 2.",
    ]


def test_wrong_line_is_not_repeated_for_it_may_be_a_secret() -> None:
    assert "hunter2" not in "\n".join(problems("[aws info]\nAWS_SECRET_ACCESS_KEY hunter2\n"))


def test_key_that_is_there_twice_keeps_its_first_value_and_hides_both() -> None:
    (section,), found = grammar.read("[aws info]\nk = one\nK = two\n", "f")
    assert section.entries["k"].value == "one"
    assert "one" not in str(found[0]).split("already")[0]
    assert "two" not in str(found[0])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[global]\na = x\u00a0y\n", "U+00A0"),
        ("[global]\na = x\u200b\n", "U+200B"),
        ("[global]\na\u200b = x\n", "U+200B"),
        ("[clus\u200bter x]\n", "U+200B"),
        ("[global]\na = x\x1b[31m\n", "U+001B"),
    ],
)
def test_invisible_characters_of_a_copied_text_are_named(text: str, code: str) -> None:
    (found,) = problems(text)
    assert code in found
    assert found.isprintable()


def test_nul_is_a_problem_of_its_line_only() -> None:
    (section,), found = grammar.read("[global]\na = \0\nb = 2\n", "f")
    assert [str(one) for one in found] == ["f:2: [global]: this line holds a NUL."]
    assert section.entries["b"].line == 3


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    sections, found = grammar.read(text, "f")
    lines = text.count("\n") + text.count("\r") + 1
    assert all(1 <= one.line <= lines for one in found)
    assert all(one.kind == one.kind.casefold() for one in sections)


PLAIN = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1)


@given(st.dictionaries(PLAIN.map(str.lower), PLAIN, min_size=1))
def test_entries_come_back_with_their_lines(entries: dict[str, str]) -> None:
    text = "[plugin x]\n" + "".join(f"{key} = {value}  # no\n" for key, value in entries.items())
    (section,), found = grammar.read(text, "f")
    assert not found
    assert {key: one.value for key, one in section.entries.items()} == entries
    assert [one.line for one in section.entries.values()] == [
        number for number, _ in enumerate(entries, start=2)
    ]


def test_lecture_sample_has_no_problem() -> None:
    text = (Path(__file__).parent / "data" / "lecture.ini").read_text()
    sections, found = grammar.read(text, "f")
    assert not found
    assert [f"{one.kind} {one.name}" for one in sections] == [
        "key mykey",
        "plugin ipcluster",
        "plugin ipclusterstop",
        "plugin ipclusterrestart",
        "plugin pypackages",
        "cluster iptemplate",
    ]
