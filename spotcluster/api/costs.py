"""What clusters cost: those that are there, and those that have ended, by their receipts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from spotcluster.aws import regions
from spotcluster.aws.session import Session
from spotcluster.cluster.status import listing, receipts
from spotcluster.cluster.status.listing import Listed
from spotcluster.cluster.status.receipts import Receipt
from spotcluster.errors import CloudError


@dataclass(frozen=True)
class Costs:
    """What was found.

    Attributes
    ----------
    running : list of Listed
        Clusters that cost money.
    ended : list of Receipt
        The oldest first.
    refused : dict
        The regions that could not be looked in, or not wholly, and why.
    """

    running: list[Listed]
    ended: list[Receipt]
    refused: dict[str, CloudError]


def of(sessions: Sequence[Session], name: str | None, since: timedelta) -> Costs:
    """Return what clusters cost, or those called `name`; of ended ones, those since then.

    Raises
    ------
    CloudError
        No region could be looked in.
    """
    there, refused = listing.everywhere(sessions)
    told, unread = regions.each(sessions, lambda session: receipts.kept(session, name, since))
    if len(refused) == len(sessions):
        raise next(iter(refused.values()))
    mine = [one for one in there if name in (None, one.name)]
    running = [one for one in mine if one.receipt is None]
    # Of one that was started again the former sum is in the new one.
    known = {one.id for one in there}
    ended = [one for _, some in told for one in some if one.id not in known]
    ended += [one.receipt for one in mine if one.receipt]
    ended.sort(key=lambda one: one.ended)
    return Costs(running, ended, unread | refused)
