"""What is printed is what was said."""

from __future__ import annotations

from spotcluster.cli import output


def test_what_stands_between_two_colons_was_printed_as_a_picture() -> None:
    """As of rich's emoji: of ``arn:aws:key:x`` the third word."""
    for console in (output.out, output.err):
        with console.capture() as captured:
            console.print("arn:aws:key:x, 12:warning:30")
        assert captured.get() == "arn:aws:key:x, 12:warning:30\n"
