"""What is said when EC2 has too few instances: by each pool, and what would help."""

from __future__ import annotations

from collections.abc import Sequence

from spotcluster.aws import fleets
from spotcluster.aws.fleets import Refusal
from spotcluster.aws.session import Session
from spotcluster.cluster.bringup.pools import Offer
from spotcluster.errors import CapacityError, CloudError

_ABOVE = 3  # pools above the bid that are named


def why(refusals: Sequence[Refusal]) -> CloudError:
    """Return the error of what no pool had: that of a pool whose capacity may come back, if any."""
    passing = [one.error for one in refusals if one.error.code == "InsufficientInstanceCapacity"]
    for error in [*passing, *(one.error for one in refusals)]:
        return error
    return CapacityError(
        "EC2 launched fewer instances than were asked for, and does not say why.",
        code="InsufficientInstanceCapacity",
    )


def told(
    session: Session, refusals: Sequence[Refusal], offers: Sequence[Offer], lacking: int
) -> str:
    """Return a table of what each pool said, and the cheapest that would have had a higher bid.

    Parameters
    ----------
    refusals : sequence of Refusal
    offers : sequence of Offer
        All that the nodes might have come from.
    lacking : int
        How many nodes could not be had.

    Returns
    -------
    str
        Empty where one pool was asked, whose error says it all, and there is no other.
    """
    said = {one.pool: one.error for one in refusals}
    above = [one for one in offers if not one.chosen]
    if len(said) < 2 and not above:
        return ""
    spot = any(pool.bid is not None for pool in said)
    types = sorted({pool.type for pool in said})
    scores = fleets.placement_scores(session, types, lacking) if spot else {}
    lines = ["what each pool said:"]
    for pool, error in said.items():
        score = f", placement score {scores[pool.zone]} of 10" if pool.zone in scores else ""
        lines.append(f"    {pool.type:<14} {pool.zone:<14} {error.code}{score}")
    if above:
        lines.append("a higher bid (-b) would have had:")
        lines += [
            f"    {one.type.name:<14} {one.pool.zone:<14} ${one.price:g}/h now"
            for one in above[:_ABOVE]
        ]
    return "\n".join(lines)
