"""Where the time of a start goes: a line for each node, and what took longest on them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from spotcluster.cli import output

if TYPE_CHECKING:
    from spotcluster.cluster.bringup.bringup import Result
    from spotcluster.cluster.bringup.member import Member, Span

_WIDTH = 60
_STEPS = 10  # that are named
_LEAST = 0.05  # seconds that anything must take to be shown
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_WAITS = "."


def plain(result: Result) -> dict[str, Any]:
    """Return it as plain values for ``--json``: seconds since the command began."""
    return {
        one.alias: {
            "stages": _plain(result, one.spans),
            "waits": _plain(result, one.waits),
            "steps": _plain(result, one.steps),
        }
        for one in result.members
    }


def _plain(result: Result, spans: Iterable[Span]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "begin": round(one.begin - result.begin, 3),
            "end": round(one.end - result.begin, 3),
        }
        for one in spans
    ]


def show(result: Result) -> None:
    """Print it: of each node what it was at when, and the steps that took longest."""
    if not result.members:
        return
    longest = sorted(result.members, key=_seconds, reverse=True)
    names = dict.fromkeys(span.name for one in longest for span in one.spans)
    took = {name: max(_length(one, name) for one in longest) for name in names}
    letters = dict(zip([name for name in names if took[name] >= _LEAST], _LETTERS, strict=False))
    end = max((span.end for one in longest for span in one.spans), default=result.begin)
    length = max(end - result.begin, _LEAST)
    output.out.print(f"Where {length:.1f} s went, a column for each {length / _WIDTH:.2g} s:")
    width = max(len(one.alias) for one in result.members)
    for one in result.members:
        line = chart(one, letters, result.begin, length)
        output.out.print(output.Text(f"  {one.alias:{width}} |{line}|"))
    told = [f"{letter} {name} {took[name]:.1f} s" for name, letter in letters.items()]
    if any(one.waits for one in result.members):
        told.append(f"{_WAITS} waiting for the master")
    output.out.print(output.Text(f"  {', '.join(told)} (the longest of all nodes)"))
    steps = sorted(
        ((one.alias, span) for one in result.members for span in one.steps),
        key=lambda pair: pair[1].begin - pair[1].end,
    )
    output.table(
        "",
        ("longest steps", "node", "seconds", "after"),
        [
            (
                span.name,
                alias,
                f"{span.end - span.begin:.1f}",
                f"{span.begin - result.begin:.1f} s",
            )
            for alias, span in steps[:_STEPS]
            if span.end - span.begin >= _LEAST
        ],
        keys=2,
    )


def chart(member: Member, letters: dict[str, str], begin: float, length: float) -> str:
    """Return a line of letters: what a node was at in each part of the time."""
    line = [" "] * _WIDTH
    for column in range(_WIDTH):
        left = begin + column * length / _WIDTH
        right = left + length / _WIDTH
        parts = {
            letters[span.name]: _common(span, left, right)
            for span in member.spans
            if span.name in letters
        }
        waits = sum(_common(span, left, right) for span in member.waits)
        best = max(parts, key=lambda letter: parts[letter], default="")
        if best and parts[best] > 0:
            line[column] = _WAITS if waits > parts[best] / 2 else best
    return "".join(line)


def _common(span: Span, left: float, right: float) -> float:
    return max(0.0, min(span.end, right) - max(span.begin, left))


def _length(member: Member, name: str) -> float:
    return sum(one.end - one.begin for one in member.spans if one.name == name)


def _seconds(member: Member) -> float:
    return sum(one.end - one.begin for one in member.spans)
