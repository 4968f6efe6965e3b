"""INI templates, and the few files that are sent to nodes."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterable
from importlib import resources

_LAYOUT = "layout.sh"
_SOURCED = f"\n. {_LAYOUT}\n"


def read(name: str) -> str:
    """Return the text of the template `name` (``"config.ini"``).

    A line ``. layout.sh`` of it becomes that template: what runs on a node has nothing to source.

    Raises
    ------
    FileNotFoundError
        There is no template of that name.
    """
    text = _text(name)
    return text.replace(_SOURCED, f"\n{_text(_LAYOUT)}") if _SOURCED in text else text


@functools.cache  # each node is sent a dozen of them
def _text(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def script(name: str, /, **given: str | int | Iterable[str | int]) -> str:
    """Return the shell template `name` with what it is given in front of it.

    Parameters
    ----------
    **given
        The variables that it says it is given. A text comes to the shell as it is, whatever is in
        it, True and False as 1 and 0, and of several items an array is made.
    """
    return assigned(**given) + read(name)


def assigned(**given: str | int | Iterable[str | int]) -> str:
    """Return lines of shell that give variables these values; see `script`."""
    return "".join(f"{name}={_in_shell(value)}\n" for name, value in given.items())


def _in_shell(value: str | int | Iterable[str | int]) -> str:
    if isinstance(value, str):
        return shlex.quote(value)
    if isinstance(value, int):
        return str(int(value))
    return f"({' '.join(_in_shell(item) for item in value)})"
