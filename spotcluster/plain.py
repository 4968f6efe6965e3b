"""Text from elsewhere as it may be shown on a terminal.

What a node, its console or a tag says was written by somebody else. A terminal takes some of it for
orders: to draw over what is there, to change its title, to put something into the clipboard.
"""

from __future__ import annotations

import re

_ORDERS = re.compile(
    r"\x1b(?:"
    r"\[[0-?]*[ -/]*[@-~]"  # CSI: colours, the cursor
    r"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS and the like: titles, the clipboard
    r"|[ -/]*[0-~])"
)


def plain(text: str) -> str:
    """Return the text without what a terminal would take for an order; lines and tabs stay."""
    text = _ORDERS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(one for one in text if one.isprintable() or one in "\n\t")
