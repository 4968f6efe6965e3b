"""EXTENDS: a cluster template takes the settings of others and replaces what it names itself."""

from __future__ import annotations

from collections.abc import Mapping

from spotcluster.config.grammar import Entry, Section
from spotcluster.config.names import find, split
from spotcluster.config.problems import Problem
from spotcluster.wording import hint

_DEEPEST = 50  # no file that a person wrote goes deeper


class Inheritance:
    """The entries of each cluster section, its parents' included.

    Of several parents, a later one replaces what an earlier one says; lists are replaced too,
    never merged.

    Attributes
    ----------
    problems : list of Problem
        Parents that do not exist, and cycles.
    parents : set of str
        The sections that others extend.
    """

    def __init__(self, sections: Mapping[str, Section]) -> None:
        self._sections = sections
        self._done: dict[str, dict[str, Entry]] = {}
        self._followed: dict[str, list[str]] = {}  # the parents of each, those of circles left out
        self.problems: list[Problem] = []
        self.parents: set[str] = set()

    def entries(self, name: str, chain: tuple[str, ...] = ()) -> dict[str, Entry]:
        """Return the entries of the section `name`, EXTENDS resolved."""
        if name not in self._done:
            section = self._sections[name]
            merged: dict[str, Entry] = {}
            followed: list[str] = []
            extends = section.entries.get("extends")
            for parent in split(extends.value) if extends else ():
                found = self._parent(section, parent, (*chain, name))
                if found:
                    self.parents.add(found)
                    followed.append(found)
                    merged |= self.entries(found, (*chain, name))
            own = {key: entry for key, entry in section.entries.items() if key != "extends"}
            self._done[name] = merged | own
            self._followed[name] = followed
        return self._done[name]

    def through(self, name: str, key: str) -> tuple[str, ...]:
        """Return the templates from `name` to the one whose own `key` holds for it; () for none.

        The entries of `name` must have been resolved by `entries`.
        """
        section = self._sections[name]
        if key != "extends" and key in section.entries:
            return (name,)
        for parent in reversed(self._followed[name]):
            if key in self._done[parent]:
                return (name, *self.through(parent, key))
        return ()

    def _parent(self, section: Section, parent: str, chain: tuple[str, ...]) -> str | None:
        line = section.entries["extends"].line
        found = find(self._sections, parent)
        if not found:
            text = f"there is no [cluster {parent}].{hint(parent, self._sections)}"
        elif found in chain:
            circle = [*chain[chain.index(found) :], found]
            text = f"the templates extend one another in a circle: {' -> '.join(circle)}."
        elif len(chain) >= _DEEPEST:
            text = f"more than {_DEEPEST} templates extend one another."
        else:
            return found
        self.problems.append(section.problem(text, key="extends", line=line))
        return None
