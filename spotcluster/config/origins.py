"""Where a value comes from."""

from __future__ import annotations

from dataclasses import dataclass

from spotcluster.config.grammar import Entry


@dataclass(frozen=True)
class Origin:
    """The place of one value.

    Attributes
    ----------
    source : str
        The file, or the variable of the environment with its ``$``.
    line : int
        The file's line, from 1; 0 of a variable.
    section : str
        The section that says it, as ``cluster base``.
    through : tuple of str
        The templates that lead there by EXTENDS, the one that asks first; empty for its own.
    """

    source: str
    line: int
    section: str
    through: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source
        if not self.through:
            return where
        verb = "extends" if len(self.through) == 2 else "extend"
        return f"{where}, [{self.section}], which {' > '.join(self.through[:-1])} {verb}"


def of(entry: Entry, through: tuple[str, ...] = ()) -> Origin:
    """Return the origin of an entry."""
    section = entry.section
    return Origin(section.source, entry.line, section.title, through)
