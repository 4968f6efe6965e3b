"""What every `addnode` under way is doing, in the tags of the cluster's group.

Two terminals may add nodes at once, and a terminal may be killed while it does. So each `addnode`
has a name, which its nodes carry in a tag from the call that makes them, and a line on the group
that says who runs it. It is taken away at the end. One whose process has died is an addition that
was cut off: repeating the command goes on with it, instead of adding as many again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from spotcluster.aws import tags
from spotcluster.cluster import owner

KEEPER = "keep"
"""What the names of keepers' additions begin with; those of others are hexadecimal numbers."""


@dataclass(frozen=True)
class Addition:
    """An `addnode` that has not ended.

    Attributes
    ----------
    id : str
        Its name, random.
    owner : str
        The process that runs it; see `owner`.
    number : int
        How many nodes it adds.
    """

    id: str
    owner: str
    number: int
    began: datetime

    @classmethod
    def new(cls, number: int) -> Addition:
        """Return one that begins now, run by this process."""
        now = datetime.now(UTC).replace(microsecond=0)
        return cls(secrets.token_hex(4), owner.myself(), number, now)

    @classmethod
    def of_keeper(cls, number: int) -> Addition:
        """Return one of a keeper's that begins now: whose names other keepers may share."""
        new = cls.new(number)
        return cls(f"{KEEPER}{new.id}", new.owner, new.number, new.began)

    def taken_over(self) -> Addition:
        """Return it as run by this process."""
        return Addition(self.id, owner.myself(), self.number, datetime.now(UTC))

    @property
    def tag(self) -> dict[str, str]:
        """The tag that says so."""
        return {self.key: f"{self.owner} {self.number} {self.began.isoformat(timespec='seconds')}"}

    @property
    def key(self) -> str:
        """The key of that tag."""
        return f"{tags.ADDING}{self.id}"

    def was_cut_off(self, *, longest: float) -> bool:
        """Return whether nobody runs it any more.

        Parameters
        ----------
        longest : float
            Seconds after which it must have ended, as each of its waits has a limit: all that one
            computer can know of a process on another.
        """
        died = owner.has_died(self.owner)
        if died is None:
            return datetime.now(UTC) - self.began > timedelta(seconds=longest)
        return died


def read(group_tags: Mapping[str, str]) -> tuple[Addition, ...]:
    """Return the additions that a group's tags name; a line that cannot be read is none."""
    found = []
    for key, value in sorted(group_tags.items()):
        if not key.startswith(tags.ADDING):
            continue
        try:
            who, number, began = value.split()
            when = datetime.fromisoformat(began)
            found.append(Addition(key.removeprefix(tags.ADDING), who, int(number), when))
        except ValueError:
            continue
    return tuple(found)
