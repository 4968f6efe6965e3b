"""INI templates, and the few files that are sent to nodes."""

from __future__ import annotations

from importlib import resources


def read(name: str) -> str:
    """Return the text of the template `name` (``"config.ini"``).

    Raises
    ------
    FileNotFoundError
        There is no template of that name.
    """
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
