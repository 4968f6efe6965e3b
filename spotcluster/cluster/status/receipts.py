"""What clusters have cost that have ended: kept in the account, for whoever has the credentials.

A receipt is a standard parameter of SSM's, which costs nothing, named by the cluster and its id. It
is written when all instances have ended and before the security group is deleted, by which a
repeated `terminate` finds the cluster: cut off anywhere, the repetition writes the same again.

Of a cluster that has ended by itself, with nobody there, whoever looks at it next writes it. While
EC2 shows what has ended, it is exact, and the cluster's tags say so (`tags.SETTLED`); after that it
is the most that the cluster can have cost. One that is started again goes on with that sum.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from spotcluster import wording
from spotcluster.aws import images, tags
from spotcluster.aws.calls import call, every
from spotcluster.aws.instances import Instance
from spotcluster.aws.session import Session
from spotcluster.cluster import records
from spotcluster.cluster.records import Record
from spotcluster.cluster.status import costs
from spotcluster.cluster.status.costs import Counted, Tariff
from spotcluster.errors import SpotclusterError

if TYPE_CHECKING:  # a keeper that only looks goes without pydantic, see `lifecycle.keeping`
    from spotcluster.config import Template
    from spotcluster.config.node_types import NodeGroup

log = logging.getLogger("spotcluster.receipts")

_AND = ", and "
_TAG = 256  # characters that EC2 takes
_OVER = ("stopped", "terminated")
_PATH = "/spotcluster/receipts"
_LINES = 20  # of 150 characters each at most, as a standard parameter holds 4096
_CENT = 0.005
_SHOWN = timedelta(minutes=45)  # for which EC2 shows what has ended, at least
_QUIET = timedelta(minutes=10)  # after which nobody makes anew what has failed
_NOT_SHOWN = "not shown"  # in place of a type


@dataclass(frozen=True)
class Line:
    """Nodes of a receipt that are alike.

    Attributes
    ----------
    type, zone : str
        Empty for what EC2 does not show any more.
    hours : float
        Of all of them together.
    usd, on_demand : float
        What they cost, and what they would have on demand.
    """

    type: str
    zone: str
    spot: bool
    nodes: int
    hours: float
    usd: float
    on_demand: float


@dataclass(frozen=True)
class Receipt:
    """What a cluster has cost.

    Attributes
    ----------
    usd, on_demand : float or None
        What it cost, and what it would have on demand; None where a price is not known.
    at_most : str
        Why it may have cost less, empty where that is not so.
    """

    name: str
    id: str
    region: str
    created: datetime
    ended: datetime
    usd: float | None
    on_demand: float | None
    lines: tuple[Line, ...]
    at_most: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        times = {"created": self.created.isoformat(), "ended": self.ended.isoformat()}
        return {**asdict(self), **times}

    @classmethod
    def from_text(cls, text: str) -> Receipt | None:
        """Read what `as_json` gave; None for what another version wrote and this cannot read."""
        try:
            told = json.loads(text)
            told["lines"] = tuple(Line(**one) for one in told["lines"])
            for name in ("created", "ended"):
                told[name] = datetime.fromisoformat(told[name])
            return cls(**told)
        except (ValueError, TypeError, KeyError):
            return None

    @property
    def saving(self) -> float | None:
        """What part of the price on demand was saved; None where there was no spot node."""
        if self.usd is None or not self.on_demand or not any(one.spot for one in self.lines):
            return None
        return 1 - self.usd / self.on_demand


def draw_up(
    session: Session,
    record: Record,
    found: Sequence[Instance],
    now: datetime | None = None,
) -> Receipt:
    """Return the receipt of a cluster whose instances have ended, and write its costs down.

    Parameters
    ----------
    found : sequence of Instance
        All of it that EC2 shows.
    """
    now = now or datetime.now(UTC)
    tariff = Tariff(session)
    counted = Counted.read(record.tags)
    usd = costs.so_far(session, record, found, tariff, now)
    lines: dict[tuple[str, str, bool], Line] = {}
    for one in costs.own(record, found):
        # What was written down of others is all that is known of them.
        if costs.run_of(one, stopped=True) in counted.runs or (
            one.ended is None and costs.run_of(one) in counted.runs
        ):
            continue
        cost, fixed = tariff.cost(one, now), tariff.cost(one, now, on_demand=True)
        if cost is None or fixed is None:
            continue
        kind = (one.type, one.zone, one.spot)
        _add(lines, kind, costs.hours_of(one, now), cost, fixed)
    rest = (usd or 0.0) - sum(one.usd for one in lines.values())
    if rest > _CENT / 100:
        # As if nothing had been saved: nobody knows what these were.
        _add(lines, ("", "", False), 0.0, rest, rest)
    reasons = _unsaid(record, found)
    if forgotten := _forgotten(record, found, tariff, now):
        line, until = forgotten
        reasons.append(_not_shown(line, until))
        lines[line.type, line.zone, line.spot] = line
        usd = None if usd is None else usd + line.usd
    if before := record.tags.get(tags.AT_MOST):
        reasons += before.split(_AND)
    at_most = _AND.join(dict.fromkeys(reasons))
    said = record.tags.get(tags.ENDING)
    last = max((one.ended for one in costs.own(record, found) if one.ended), default=now)
    whole = None if usd is None else sum(one.on_demand for one in lines.values())
    return Receipt(
        record.name,
        record.id,
        session.region,
        record.created,
        datetime.fromisoformat(said) if said else last,
        None if usd is None else round(usd, 6),
        None if whole is None else round(whole, 6),
        _fitting(list(lines.values())),
        at_most,
    )


def _forgotten(
    record: Record, found: Sequence[Instance], tariff: Tariff, now: datetime
) -> tuple[Line, datetime] | None:
    """Return the most that nodes can have cost of which EC2 shows nothing, and until when they ran.

    Those that somebody has looked at within an hour of their end are counted twice then: nobody
    knows which they were.
    """
    # `stop` has written down what it ended.
    if record.stopped or record.is_settled or now - record.begun < _SHOWN:
        return None
    shown = costs.own(record, found)
    masters = [one for one in shown if one.is_master]
    missing = record.size - len({one.alias for one in shown if not one.leaving})
    if missing <= 0:
        return None
    # Nothing of a cluster runs on when its master has gone, but for what is seen to.
    until = max((one.ended or now for one in masters), default=now)
    template = record.template
    kinds = {one.type for one in (*template.node_instance_type.groups, _rest(template))}
    of_worker = _dearest(tariff, kinds | set(template.node_instance_types))
    of_master = _dearest(tariff, {template.master_instance_type or _rest(template).type})
    if of_worker is None or of_master is None:
        return None
    hours = (until - record.begun) / timedelta(hours=1)
    hourly = missing * of_worker if masters else (missing - 1) * of_worker + of_master
    size = costs.root_disk(template).as_gp3(template.root_volume_size or images.USUAL_GB)
    usd = hourly * hours + missing * tariff.disk_of(size, record.begun, until)
    line = Line(
        type=_NOT_SHOWN,
        zone="",
        spot=False,
        nodes=missing,
        hours=missing * hours,
        usd=usd,
        on_demand=usd,
    )
    return line, until


def _unsaid(record: Record, found: Sequence[Instance]) -> list[str]:
    """Return in words of which nodes EC2 does not say when they ended, if there are some."""
    unsaid = [one.alias for one in costs.own(record, found) if one.ended is None]
    return [f"EC2 does not say when {wording.some(unsaid)} ended"] if unsaid else []


def _kept_reasons(record: Record, reasons: Sequence[str]) -> dict[str, str]:
    """Return the tag by which it is known later why what is written down may be too much."""
    before = record.tags.get(tags.AT_MOST, "")
    told = dict.fromkeys([*reasons, *(before.split(_AND) if before else [])])
    text = _AND.join(told)
    if len(text) > _TAG:  # the newest are the ones that count most
        text = f"{text[: _TAG - 2]} …"
    return {tags.AT_MOST: text} if text else {}


def _not_shown(line: Line, until: datetime) -> str:
    return (
        f"EC2 does not show {line.nodes} of its nodes any more, which are taken to have run on"
        f" demand until {until:%Y-%m-%d %H:%M} UTC"
    )


def _rest(template: Template) -> NodeGroup:
    return template.node_instance_type.rest


def _dearest(tariff: Tariff, types: Iterable[str]) -> float | None:
    """Return the highest price on demand, which is more than any on the spot market."""
    told = [tariff.on_demand(one) for one in types]
    return max((one for one in told if one is not None), default=None)


def settle(
    session: Session, record: Record, found: Sequence[Instance], now: datetime | None = None
) -> Receipt | None:
    """Write down what a cluster has cost that has ended by itself, if EC2 lets us.

    Parameters
    ----------
    found : sequence of Instance
        All of it that EC2 shows.

    Returns
    -------
    Receipt or None
        Its receipt; None where something of it runs, or costs money.
    """
    now = now or datetime.now(UTC)
    if not _is_over(record, found, now):
        return None
    tariff = Tariff(session)
    known = all(tariff.cost(one, now) is not None for one in costs.own(record, found))
    if known and not record.is_settled and _forgotten(record, found, tariff, now) is None:
        also = _kept_reasons(record, _unsaid(record, found))
        also[tags.SETTLED] = now.isoformat(timespec="microseconds")
        costs.so_far(session, record, found, tariff, now, also=also)
    if any(one.state != "terminated" for one in costs.own(record, found)):
        return None
    told = draw_up(session, record, found, now)
    try:
        if before := _before(session, record, told):
            return before
        keep(session, told)
    except SpotclusterError as error:  # who may only look sees it as well
        log.info("the receipt of %s is not kept: %s", record.name, error)
    return told


def _is_over(record: Record, found: Sequence[Instance], now: datetime) -> bool:
    """Return whether nothing of a cluster runs, and nobody is about to start something."""
    own = costs.own(record, found)
    if record.ending or record.stopped or any(one.state not in _OVER for one in own):
        return False
    # Those before are of an earlier life, and there may be a `start` that has made none yet.
    lately = [one for one in own if one.launched >= record.begun]
    if not lately:
        return record.is_settled or now - record.begun >= _SHOWN
    if any(one.is_master and one.shut_itself_down for one in lately):
        return True
    ends = [one.ended for one in lately if one.ended]
    return bool(ends) and now - max(ends) >= _QUIET  # until then failed nodes are made anew


def begin_anew(
    session: Session, record: Record, found: Sequence[Instance], now: datetime | None = None
) -> None:
    """Write down what a cluster has cost before it is started again.

    EC2 forgets then when stopped instances ran, and nobody would know that others did.
    """
    now = now or datetime.now(UTC)
    states = {one.state for one in costs.own(record, found)}
    if states - set(_OVER):
        if "stopped" in states:
            costs.wake(session, record, found)
        return
    also = {tags.BEGUN: now.isoformat(timespec="microseconds")}
    more, reasons = 0.0, _unsaid(record, [one for one in found if one.state == "terminated"])
    if forgotten := _forgotten(record, found, Tariff(session), now):
        line, until = forgotten
        more = line.usd
        reasons.append(_not_shown(line, until))
    also |= _kept_reasons(record, reasons)
    with contextlib.suppress(SpotclusterError):
        costs.so_far(session, record, found, now=now, waking=True, also=also, more=more)


def close(session: Session, name: str) -> Receipt | None:
    """Return the receipt of a cluster whose instances have ended; None if it has no record.

    One that was drawn up before holds, where EC2 has forgotten meanwhile what that goes by.
    """
    seen = records.look(session, name)
    if seen.record is None:
        return None
    told = draw_up(session, seen.record, seen.instances)
    with contextlib.suppress(SpotclusterError):
        return _before(session, seen.record, told) or told
    return told


def _before(session: Session, record: Record, told: Receipt) -> Receipt | None:
    """Return the receipt that was kept of what has ended, where nothing better is known now."""
    if not (told.at_most or record.is_settled):
        return None
    own = (one for one in kept(session, record.name) if one.id == record.id)
    return next((one for one in own if one.ended >= record.begun), None)


def keep(session: Session, receipt: Receipt) -> None:
    """Keep a receipt in the account; to do so again changes nothing.

    Raises
    ------
    CloudError
        The credentials may not.
    """
    call(
        session.client("ssm").put_parameter,
        Name=f"{_PATH}/{receipt.name}/{receipt.id}",
        Value=json.dumps(receipt.as_json(), separators=(",", ":")),
        Type="String",
        Tier="Standard",
        Overwrite=True,
    )


def kept(
    session: Session, name: str | None = None, since: timedelta | None = None
) -> list[Receipt]:
    """Return the receipts of a region, or of one name, the oldest first."""
    told = every(
        session.client("ssm").get_parameters_by_path,
        "Parameters",
        Path=f"{_PATH}/{name}" if name else _PATH,
        Recursive=True,
    )
    found = [one for item in told if (one := Receipt.from_text(item["Value"]))]
    first = datetime.now(UTC) - since if since is not None else None
    return sorted(
        (one for one in found if first is None or one.ended >= first), key=lambda one: one.ended
    )


def _add(
    lines: dict[tuple[str, str, bool], Line],
    kind: tuple[str, str, bool],
    hours: float,
    usd: float,
    on_demand: float,
) -> None:
    old = lines.get(kind, Line(*kind, 0, 0.0, 0.0, 0.0))
    lines[kind] = replace(
        old,
        nodes=old.nodes + 1,
        hours=old.hours + hours,
        usd=old.usd + usd,
        on_demand=old.on_demand + on_demand,
    )


def _fitting(lines: list[Line]) -> tuple[Line, ...]:
    """Return the lines that cost most, and one for all others where they are too many."""
    lines.sort(key=lambda one: -one.usd)
    if len(lines) > _LINES:
        last = ("others", "", False)
        rest = Line(*last, sum(one.nodes for one in lines[_LINES - 1 :]), 0.0, 0.0, 0.0)
        for one in lines[_LINES - 1 :]:
            rest = replace(
                rest,
                hours=rest.hours + one.hours,
                usd=rest.usd + one.usd,
                on_demand=rest.on_demand + one.on_demand,
            )
        lines = [*lines[: _LINES - 1], rest]
    return tuple(
        replace(
            one,
            hours=round(one.hours, 4),
            usd=round(one.usd, 6),
            on_demand=round(one.on_demand, 6),
        )
        for one in lines
    )
