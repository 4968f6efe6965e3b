"""What is shown in a notebook, by searches and by clusters: HTML that needs no script.

A notebook that somebody else has sent runs none. Colours go with the page's, dark or light.

This belongs to no room: search and clusters both show themselves, and import nothing of each other.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterable, Sequence

GREEN, BLUE, AMBER, RED = "#2da44e", "#1f6feb", "#bf8700", "#d1242f"
_CELL = "padding:2px 10px 2px 0;border:0;vertical-align:top"
NUMBER = f"{_CELL};text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums"
"""The style of a cell with figures, which are one line in any case."""
WORD = f"{_CELL};text-align:left;overflow-wrap:break-word;max-width:22em"
"""The style of a cell with words; where they take too much room, the table is moved to and fro."""
BAR = f"{_CELL};vertical-align:middle"

escaped = html.escape


def is_here() -> bool:
    """Return whether what is shown goes to a notebook, where it can be renewed."""
    # Nothing is imported for it: where IPython runs, it has been.
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def block(*parts: str) -> str:
    """Return parts of HTML as one that stands for itself."""
    style = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.45"
    return f'<div style="{style}">{"".join(parts)}</div>'


def table(
    heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]], *, strong: int | None = None
) -> str:
    """Return a table; where the page is too narrow it can be moved to and fro.

    Parameters
    ----------
    heads : sequence of (str, str)
        The name of each column, as text, and the style of its cells.
    rows : iterable of sequence of str
        Their cells, as HTML.
    strong : int, optional
        The number of the row that matters most.
    """
    head = "".join(f'<th scope="col" style="{style}">{_name(name)}</th>' for name, style in heads)
    body = ""
    for number, row in enumerate(rows):
        cells = "".join(
            f'<td style="{style}">{cell}</td>' for cell, (_, style) in zip(row, heads, strict=True)
        )
        weight = ";font-weight:600" if number == strong else ""
        body += f'<tr style="background:none{weight}">{cells}</tr>'
    style = "font:inherit;border-collapse:collapse;margin:6px 0"
    return (
        f'<div style="overflow-x:auto"><table style="{style}">'
        f'<thead><tr style="opacity:0.75">{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _name(text: str) -> str:
    """Return a name that may go on in the next line where a part of it ends."""
    return re.sub("(_+)", r"\1<wbr>", escaped(text))


def bar(percent: float, width: str, colour: str, label: str = "") -> str:
    """Return a bar of which so much is done; `label` is for who cannot see it."""
    what = f'role="img" aria-label="{escaped(label)}"' if label else 'aria-hidden="true"'
    return (
        f'<div {what} style="background:#8884;height:6px;width:{width};border-radius:3px">'
        f'<div style="background:{colour};height:6px;width:{percent:.0f}%;border-radius:3px"></div>'
        "</div>"
    )


def line(text: str, colour: str = "") -> str:
    """Return a line of text, marked with a colour; without one it is of less importance."""
    # The text itself has the page's colour: it is to be read on white and on black.
    style = f"border-left:3px solid {colour};padding-left:6px" if colour else "opacity:0.75"
    return f'<div style="{style};overflow-wrap:anywhere">{escaped(text)}</div>'
