"""What is said to users, whichever room says it, and text from elsewhere before it is shown."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from spotcluster import wording
from spotcluster.cli import output
from spotcluster.ssh.copying import receiver
from spotcluster.wording import plain


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]52;c;ZXZpbA==\x1b\\text", "text"),
        ("\x1bPq#0\x1b\\text", "text"),
        ("\x1b(Btext\x1bc", "text"),
        ("10 %\r20 %\r\ndone\n", "10 %\n20 %\ndone\n"),
        ("a\tb\x00\x08\x9b31mc", "a\tb31mc"),
        ("file\u202etxt.exe", "filetxt.exe"),
        ("grüße, 世界", "grüße, 世界"),
        ("\x1b]never ended", ""),
    ],
)
def test_orders_to_the_terminal_are_left_out(said: str, shown: str) -> None:
    assert plain(said) == shown


@given(st.text(alphabet=st.characters() | st.sampled_from("\x1b[]\\P;m\x07\x9b\r")))
def test_nothing_gets_through_in_any_mixture(said: str) -> None:
    assert all(one.isprintable() or one in "\n\t" for one in plain(said))


def test_table_and_error_with_what_a_node_said_give_no_orders(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.table("\x1b]0;owned\x07nodes", ["name"], [["\x1b[2Jnode001"]])
    output.error("it printed last:\n\x1b]52;c;ZXZpbA==\x07boom")
    with output.progress() as reporter:
        reporter.note("left out: \x1b[1Asudo")
        reporter.failed("node001", "\x1b[2Jno")
    said = "".join(capsys.readouterr())
    assert "\x1b" not in said
    assert "\x07" not in said
    for words in ("nodes", "node001", "boom", "sudo"):
        assert words in said


@pytest.mark.parametrize(
    ("said", "masked", "visible"),
    [
        ("two\nlines\tand\x07", "two\nlines?and?", "two lines and\\u0007"),
        ("\x1b[2Jgone", "?[2Jgone", "\\u001b[2Jgone"),
        ("grüße, 世界 \u202e", "grüße, 世界 ?", "grüße, 世界 \\u202e"),
    ],
)
def test_orders_can_also_be_shown_as_what_they_are(said: str, masked: str, visible: str) -> None:
    assert wording.masked(said) == masked
    assert wording.visible(said) == visible


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3600, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (90000, "25 h 00 min"),
    ],
)
def test_duration_is_in_two_units_and_never_more_than_it_was(seconds: float, words: str) -> None:
    assert wording.duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (2.25, "2.2 s"), (59.97, "60.0 s"), (61.9, "1 min 01 s")],
)
def test_short_duration_can_be_said_to_a_tenth(seconds: float, words: str) -> None:
    assert wording.duration(seconds, tenths=True) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 min"), (59, "0 min"), (3599, "59 min"), (7500, "2 h 05 min"), (270000, "3 d 03 h")],
)
def test_uptime_is_in_minutes_hours_and_days(seconds: float, words: str) -> None:
    assert wording.uptime(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.2, "1 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (3600, "1 h"),
        (3601, "1 h"),
        (90000, "25 h"),
    ],
)
def test_time_left_is_short_and_not_less_than_it_is(seconds: float, words: str) -> None:
    assert wording.time_left(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (12.4, "12 bytes"),
        (1000, "1 kB"),
        (1536, "1.54 kB"),
        (16_777_216, "16.8 MB"),
        (2.5e9, "2.5 GB"),
        (3e12, "3 TB"),
        (4e15, "4e+03 TB"),
    ],
)
def test_bytes_are_counted_in_thousands(size: float, words: str) -> None:
    assert wording.amount(size) == words


@given(st.integers(0, 10**16))
def test_a_machine_that_has_nothing_of_ours_counts_bytes_as_we_do(size: int) -> None:
    assert receiver._amount(size) == wording.amount(size)


def test_list_says_so_where_it_is_empty() -> None:
    assert wording.listed(["a", 2, "c"]) == "a, 2, c"
    assert wording.listed(iter(())) == "none"
    assert wording.listed([], "nothing") == "nothing"


@pytest.mark.parametrize(
    ("wanted", "known", "said"),
    [
        ("smal", ["large", "small"], " Did you mean 'small'?"),
        ("SMALL", ["Small"], " Did you mean 'Small'?"),
        ("gpu", ["my-big-gpu-cluster"], " Did you mean 'my-big-gpu-cluster'?"),
        ("key_location_of_mine", ["KEY"], ""),
        ("xy", ["max-xylophones-ever"], ""),
        ("x", [], ""),
    ],
)
def test_nearest_known_name_is_suggested(wanted: str, known: list[str], said: str) -> None:
    assert wording.hint(wanted, known) == said


@pytest.mark.parametrize(
    ("wanted", "known", "near"),
    [
        ("us-esat-1", ["us-west-1", "us-east-1", "us-west-2"], "us-east-1"),
        ("us-west-2", ["us-west-1", "us-east-2", "us-west-22"], "us-west-1"),
        ("eu-central1", ["eu-north-1", "ca-central-1", "eu-central-1"], "eu-central-1"),
        ("c5.lagre", ["c5.xlarge", "c6.large", "c5.large"], "c5.large"),
        ("c5.xlrge", ["c5.large", "c5.xlarge"], "c5.xlarge"),
    ],
)
def test_swapped_letters_were_taken_for_another_region(
    wanted: str, known: list[str], near: str
) -> None:
    assert wording.nearest(wanted, known) == near


@pytest.mark.parametrize(
    ("number", "instead"),
    [("0,5", "0.5"), (" 12,25 ", "12.25"), (",5", ".5"), ("1,000,000", None), ("a,5", None)],
)
def test_decimal_comma_is_explained(number: str, instead: str | None) -> None:
    assert wording.without_comma(number) == instead


def test_nearest_name_is_none_where_none_is_near() -> None:
    assert wording.nearest("us-east-11", ["eu-west-1", "us-east-1"]) == "us-east-1"
    assert wording.nearest("mars", ["eu-west-1", "us-east-1"]) is None


def test_value_of_a_setting_is_short_on_one_line_and_no_secret() -> None:
    assert wording.quoted("port", "a\n b") == "'a b'"
    assert wording.quoted("port", "x" * 64) == "'" + "x" * 60 + "...'"
    assert wording.quoted("db_password", "hunter2") == "the value (not shown)"


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    nodes: int = Field(ge=1)
    kind: Literal["a", "b"] = "a"
    checked: str = ""

    @field_validator("checked")
    @classmethod
    def _check(cls, value: str) -> str:
        if value:
            raise ValueError("is never right.")
        return value


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, ("nodes", "is missing.")),
        ({"nodes": "two"}, ("nodes", "'two' is not a whole number.")),
        ({"nodes": 0}, ("nodes", "'0' must be at least 1.")),
        ({"nodes": 1, "kind": "c"}, ("kind", "'c' is not one of 'a' or 'b'.")),
        ({"nodes": 1, "checked": "x"}, ("checked", "'x' is never right.")),
        ({"nodes": 1, "node": 2}, ("node", "is not known here. Did you mean 'NODES'?")),
        ({"nodes": 1, "kind": "a", "checked": []}, ("checked", "'[]' does not fit: input")),
    ],
)
def test_wrong_setting_is_explained(settings: dict[str, object], said: tuple[str, str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(settings)
    ((key, why),) = wording.explain(caught.value, list(Settings.model_fields))
    assert key == said[0]
    assert why.startswith(said[1])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["master"], "master"),
        (["master", "node001"], "master, node001"),
        (["node001", "node002", "node003", "node007"], "node[001-003,007]"),
        (["node001", "node003"], "node[001,003]"),
        (["node998", "node999", "node1000", "node1001"], "node[998-999], node[1000-1001]"),
        (["a-master", "a-node001", "a-node002"], "a-master, a-node[001-002]"),
        ([], "none"),
    ],
)
def test_names_of_nodes_are_folded(names: list[str], said: str) -> None:
    assert wording.folded(names) == said
    assert wording.unfolded(said) == (names or ["none"])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node0*", ["node0*"]),
        ("node001, master", ["node001", "master"]),
        ("node00[1-3]", ["node001", "node002", "node003"]),
        ("node[9-11]", ["node9", "node10", "node11"]),
        ("node00[!1]", ["node00[!1]"]),
    ],
)
def test_names_can_be_given_as_they_are_folded(text: str, names: list[str]) -> None:
    assert wording.unfolded(text) == names


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short enough", ["short enough"]),
        ("one two three four five six", ["one two three four", "five six"]),
        (
            "it is ended by `spotcluster stop`, then",
            ["it is ended by", "`spotcluster stop`,", "then"],
        ),
        (
            "`a command that is longer than a line` ends it",
            ["`a command that is longer than a line`", "ends it"],
        ),
        ("  spotcluster stop mycluster   end it", ["  spotcluster stop mycluster", "      end it"]),
        ("  spotcluster stop mycluster", ["  spotcluster stop mycluster"]),
        ("see /a/very/long/path/to/something", ["see", "/a/very/long/path/to/something"]),
        ("first\nsecond line that is too long", ["first", "second line that is", "too long"]),
    ],
)
def test_terminals_cut_words_and_commands_in_two(text: str, lines: list[str]) -> None:
    """What was longer than a line went on in the next one in the middle of a word."""
    assert wording.in_lines(text, 20).split("\n") == lines


@given(st.text(alphabet="ab `\n", max_size=60), st.integers(1, 30))
def test_breaking_lines_loses_nothing(text: str, width: int) -> None:
    assert wording.in_lines(text, width).split() == text.split()
