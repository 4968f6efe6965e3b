"""Names of nodes: which come next, made one by one when they are asked for.

More may be asked for than there is room for, which is found out before any name is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import overload

from spotcluster.aws import blocks


class Names(Sequence[str]):
    """Names in their order: some, and then those of workers whose numbers are in a row."""

    def __init__(self, some: Sequence[str] = (), numbers: range = range(0)) -> None:
        self._some = some
        self._numbers = numbers

    @classmethod
    def of(cls, names: Sequence[str]) -> Names:
        """Return names as such."""
        return names if isinstance(names, Names) else cls(names)

    def __len__(self) -> int:
        return len(self._some) + len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[one] for one in range(len(self))[index]]
        place = range(len(self))[index] - len(self._some)
        return self._some[place] if place < 0 else blocks.alias(self._numbers[place])

    def behind(self, others: Sequence[str]) -> Names:
        """Return these with others before them."""
        return Names([*others, *self._some], self._numbers)

    def examples(self, firsts: Iterable[int]) -> dict[str, int]:
        """Return some of the names, so that each other one is alike to one of them; how many are.

        Parameters
        ----------
        firsts : iterable of int
            The numbers from which on workers are of another kind than those before.
        """
        numbers = self._numbers
        starts = [*numbers[:1], *sorted({one for one in firsts if one in numbers[1:]})]
        ends = [*starts[1:], numbers.stop]
        counts = {blocks.alias(one): end - one for one, end in zip(starts, ends, strict=False)}
        if len(numbers) > 1 and blocks.alias(numbers[-1]) not in counts:
            # The last is the longest, which may be too long for a host name.
            counts[next(reversed(counts))] -= 1
            counts[blocks.alias(numbers[-1])] = 1
        return {**dict.fromkeys(self._some, 1), **counts}


def after(taken: Sequence[str], number: int) -> Names:
    """Return the next `number` names after the highest one that was ever taken."""
    first = max(_numbers(taken), default=0) + 1
    return Names((), range(first, first + number))


def left(seen: Sequence[str], number: int) -> Names:
    """Return the `number` names that a run which was cut off had still to give.

    The nodes of a run are launched at the same time, so it may have got to the second name and
    not to the first; a name that was never seen is taken before one after the highest.
    """
    used = _numbers(seen)
    passed = [blocks.alias(one) for one in range(1, max(used, default=0)) if one not in used]
    gaps = passed[:number]
    return after(seen, number - len(gaps)).behind(gaps)


def _numbers(names: Sequence[str]) -> set[int]:
    return {int(found[1]) for name in names if (found := re.fullmatch(r"node(\d+)", name))}
