"""One thing that is wrong in a config file, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass

from spotcluster.wording import visible


@dataclass(frozen=True)
class Problem:
    """What is wrong, and where.

    Attributes
    ----------
    source : str
        The file.
    line : int
        Its line, from 1; 0 where there are no lines, in a variable of the environment.
    text : str
        What is wrong with which value, in a sentence.
    section, key : str
        Where in the file's own terms; empty where there is none.
    """

    source: str
    line: int
    text: str
    section: str = ""
    key: str = ""

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}:" if self.line else f"{self.source}:"
        place = f"[{visible(self.section)}]" if self.section else ""
        named = f"{place} {visible(self.key).upper()}".strip()
        text = visible(self.text)
        return f"{where} {named}: {text}" if named else f"{where} {text}"
