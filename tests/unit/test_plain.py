"""Text from elsewhere, before a terminal shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotcluster.cli import output
from spotcluster.plain import plain


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
