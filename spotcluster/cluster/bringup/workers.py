"""Launching workers together: a fleet for each row of names, made by a launch template of its own.

The names of a fleet are claimed twice. The name of a launch template says the first of them and is
unique in a region, so of two that want the same names at once one makes it and the other sees whose
it is. It is deleted as soon as the nodes have their names, and from then on the nodes' own tags say
which names are taken. Where somebody has not seen them yet, the fleet's client token decides: it is
made of the cluster's id, how often it was stopped, the first name and how often that was launched
since, and EC2 refuses a second request that differs from the first one, which has another template.

A run that was cut off leaves a template, a fleet, or nodes without names. Which node has which name
follows from the order of their ids, so whoever comes next gives them the same names; a template of
the same claim is launched by again, and EC2 answers with the fleet that there is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from spotcluster import ssh
from spotcluster.aws import fleets, instances, network, tags
from spotcluster.aws.blocks import Block, number_of
from spotcluster.aws.fleets import Fleet, Mould, Pool, Refusal
from spotcluster.aws.instances import Instance
from spotcluster.aws.launching import placement_groups
from spotcluster.aws.session import Session
from spotcluster.cluster import owner, records
from spotcluster.cluster.additions import KEEPER
from spotcluster.cluster.bringup import shortage
from spotcluster.cluster.bringup.making import Making, ended_elsewhere
from spotcluster.cluster.bringup.places.kinds import MASTER
from spotcluster.cluster.bringup.plans import PlannedNode
from spotcluster.cluster.bringup.shortage import Lack
from spotcluster.errors import CapacityError, CloudError, ClusterError, SpotclusterError

log = logging.getLogger("spotcluster.workers")

_MOST_CLAIMS = 200  # that others may make before us, until something else must be wrong
_NOT_THERE = (*network.UNKNOWN_GROUP, placement_groups.UNKNOWN)
_POLL = 1.0
_STRAGGLERS = 5.0  # seconds in which EC2 shows the rest of what was launched together

Made = Sequence[Instance | Exception]
"""What came of each name of a block, in their order."""


class Workers:
    """Launches the workers of a plan; one thread at a time may use it."""

    def __init__(self, making: Making, found: Sequence[Instance]) -> None:
        self._making = making
        self._session = making.cluster.session
        self._told: set[bool] = set()  # markets of which it was said that there is too little
        planned = [number_of(one.alias) for one in making.todo.nodes]
        self._highest = max([0, *planned, *map(_highest, found)])
        allowed = making.todo.template.on_demand_fallback
        there = sum(not one.spot and not one.is_master for one in instances.present(found))
        self._fallback = float("inf") if allowed == "all" else float(allowed or 0) - there
        self._held = making.todo.held

    def launch(self, planned: Sequence[PlannedNode]) -> list[Instance | Exception]:
        """Launch nodes, or find those that an earlier run has made; return one answer for each."""
        made: dict[str, Instance | Exception] = {}
        for row in rows(planned):
            names = [one.alias for one in row]
            try:
                answers = self._row(row)
            except SpotclusterError as error:
                answers = [error] * len(row)
            made |= zip(names, answers, strict=True)
        return [made[one.alias] for one in planned]

    def _row(self, row: Sequence[PlannedNode]) -> Made:
        """Launch nodes that differ in nothing but their names, which are in a row."""
        block = Block.of([one.alias for one in row])
        for _ in range(_MOST_CLAIMS):
            made = self._claim(row[0], block)
            if made is not None:
                return self._or_on_demand(row[0], block, made)
            block = self._next(len(row))
        name = self._making.cluster.name
        raise ClusterError(
            f"Others have taken the names for new nodes of '{name}' {_MOST_CLAIMS} times in turn.",
            f"See `spotcluster listclusters {name}`.",
        )

    def _or_on_demand(self, like: PlannedNode, block: Block, made: Made) -> Made:
        """Launch on demand what no spot pool had, as far as ON_DEMAND_FALLBACK allows it."""
        lacking = [name for name, one in zip(block.aliases, made, strict=True) if _lacks(one)]
        allowed = self._fallback if like.spot else 0
        if not lacking or allowed <= 0:
            return made
        some = lacking[: int(min(allowed, len(lacking)))]
        self._fallback -= len(some)
        name = self._making.cluster.name
        self._making.cluster.note(
            f"{len(some)} worker(s) of '{name}' are launched on demand, as there is no spot"
            " capacity for them (ON_DEMAND_FALLBACK)"
        )
        pools = tuple(replace(one, bid=None) for one in like.pools)
        steady = replace(like, spot=False, bid=None, pools=pools)
        reserved = self._making.todo.reserved(steady)
        held = some[: self._held] if reserved else []
        self._held -= len(held)
        bought: dict[str, Instance | Exception] = {}
        for row in rows(
            [
                replace(reserved if reserved and name in held else steady, alias=name)
                for name in some
            ]
        ):
            bought |= zip([one.alias for one in row], self._row(row), strict=True)
        return [bought.get(name, one) for name, one in zip(block.aliases, made, strict=True)]

    def _next(self, count: int) -> Block:
        """Return names after all that are known to be taken by now."""
        name = self._making.cluster.name
        found = instances.describe(self._session, name)
        claims = [Block.read(one.tags) for one in fleets.moulds(self._session, name)]
        claimed = [one.last for one in claims if one]
        first = max([self._highest, *map(_highest, found), *claimed]) + 1
        self._highest = first + count - 1
        return Block(first, count)

    def _claim(self, like: PlannedNode, block: Block) -> Made | None:
        """Launch the nodes of a block of names; None if those are somebody else's."""
        first = block.aliases[0]
        for attempt in range(self._making.launched.count(first), _MOST_CLAIMS):
            mould = self._mould(like, block)
            if mould is None:
                return None
            try:
                made = self._from_pools(like, block, mould, attempt)
            except CloudError as error:
                if error.code != "IdempotentParameterMismatch":
                    raise
                there = self._there(block)
                if not there:
                    continue  # they have ended, so long ago that EC2 does not list them any more
                if any(self._is_foreign(one.tags.get(tags.BY)) for one in there.values()):
                    return None
                return self._known(block, there)
            finally:
                self._forget(mould)
            return made
        raise AssertionError

    def _from_pools(self, like: PlannedNode, block: Block, mould: Mould, attempt: int) -> Made:
        """Launch a block; what some pools refused is asked for again from the others."""
        made: list[Instance | Exception] = []
        pools = list(like.pools)
        refusals: list[Refusal] = []
        rest = block
        while pools:
            fleet = self._launch(like, rest, mould, attempt, pools)
            self._making.launched.append(rest.aliases[0])  # the next one is another attempt
            made += _named(rest, fleet)
            refusals += fleet.refusals
            refused = {one.pool for one in fleet.refusals}
            rest = Block(rest.first + len(fleet.instances), rest.count - len(fleet.instances))
            if not refused or not rest.count:
                break
            pools = [one for one in pools if one not in refused]
            attempt = self._making.launched.count(rest.aliases[0])
        if rest.count:
            self._tell(refusals, rest.count, spot=like.spot)
            made += [shortage.why(refusals)] * rest.count
        return made

    def _tell(self, refusals: Sequence[Refusal], lacking: int, *, spot: bool) -> None:
        """Say what there is too little of, once for each market in all that a command does."""
        if not refusals or spot in self._told or (spot and self._fallback >= lacking):
            return
        self._told.add(spot)
        making = self._making
        lack = Lack(self._session, making.cluster.name, lacking, spot, bool(making.addition))
        making.cluster.note(shortage.told(lack, refusals, making.todo.offers))

    def _is_foreign(self, by: str | None) -> bool:
        own = self._making.addition
        if own.startswith(KEEPER) and by and by.startswith(KEEPER):
            return False  # two keepers want the same nodes
        return bool(own) and by != own

    # The claim.

    def _mould(self, like: PlannedNode, block: Block) -> Mould | None:
        """Return the launch template that claims a block; None if it is somebody else's.

        It is ours, or one of a run that was cut off, or one of a `start` beside this one.
        """
        making = self._making
        host_key = ssh.keys.generate()
        own = making.tags(like, host_key)
        what = making.launch(like, host_key, own, "launch template", own[tags.HOST_KEY])
        name = f"spotcluster-{own[tags.CLUSTER]}-{own[tags.ID]}-{block.aliases[0]}"
        claim = {**own, "Name": name, tags.BLOCK: block.text, tags.OWNER: owner.myself()}
        end = time.monotonic() + self._session.patience.settle
        while True:
            try:
                return fleets.create_mould(self._session, name, what, claim)
            except CloudError as error:
                if error.code != fleets.TAKEN or time.monotonic() > end:
                    raise
            there = {one.name: one for one in fleets.moulds(self._session, own[tags.CLUSTER])}
            theirs = there.get(name)
            if theirs and self._is_foreign(theirs.tags.get(tags.BY)):
                return None
            if theirs and theirs.tags.get(tags.BLOCK) == block.text:
                return theirs
            if theirs and owner.has_died(theirs.tags.get(tags.OWNER, "")):
                fleets.delete_mould(self._session, theirs.id)
            else:  # of a launch of more or fewer that is under way, or just gone
                time.sleep(_POLL)

    def _forget(self, mould: Mould) -> None:
        """Delete a launch template when its nodes have their names, unless others are at it."""
        try:
            _delete(self._session, mould)
        except CloudError as error:  # it costs nothing, and `terminate` deletes it
            log.warning("%s is left: %s", mould.name, error)

    # The launch.

    def _launch(
        self,
        like: PlannedNode,
        block: Block,
        mould: Mould,
        attempt: int,
        pools: Sequence[Pool],
    ) -> Fleet:
        """Launch the nodes of a block, and give them their names."""
        cluster = self._making.cluster
        own = {
            tags.ALIAS: block.label,
            tags.BLOCK: block.text,
            "Name": f"{cluster.name}-{block.label}",
        }
        end = time.monotonic() + self._session.patience.settle
        token = instances.token(cluster.record.run, "fleet", block.aliases[0], str(attempt))
        while True:
            try:
                fleet = fleets.launch(
                    self._session,
                    mould,
                    pools,
                    block.count,
                    own,
                    spot=like.spot,
                    token=token,
                    block=like.reservation is not None and like.reservation.block,
                )
            except CloudError as error:
                if error.code not in fleets.UNKNOWN or time.monotonic() > end:
                    raise
                self._check_wanted()  # EC2 may not know of it yet, or somebody has deleted it
            else:
                if fleet.instances:
                    break
                self._delete_empty(fleet)
                if not any(one.error.code in _NOT_THERE for one in fleet.refusals):
                    break
                if not cluster.record.new or time.monotonic() > end:
                    raise ended_elsewhere(cluster.name)
                token = instances.token(token)  # the answer to that one stays as it is
            time.sleep(_POLL)
        if fleet.instances and block.count > 1:
            named = dict(zip((one.id for one in fleet.instances), block.aliases, strict=False))
            fleets.write_names(self._session, named, cluster.name)
        return fleet

    def _check_wanted(self) -> None:
        record = self._making.cluster.record
        if not records.is_wanted(record, records.find(self._session, record.name)):
            raise ended_elsewhere(record.name)

    def _delete_empty(self, fleet: Fleet) -> None:
        try:
            fleets.delete(self._session, [fleet.id])
        except CloudError as error:  # it costs nothing, and `terminate` deletes it
            log.warning("%s is left: %s", fleet.id, error)

    # What others have launched.

    def _there(self, block: Block) -> dict[str, Instance]:
        """Return the nodes that have the names of a block; wait, as EC2 may not show them yet."""
        names = set(block.aliases)
        begin = time.monotonic()
        launched = self._making.launched
        while True:
            found = instances.describe(self._session, self._making.cluster.name)
            ours = [one for one in found if one.alias in names]
            here = {one.alias: one for one in instances.present(ours)}
            passed = time.monotonic() - begin
            # None, where a fleet found no capacity. Should EC2 be later than that, two have one
            # name, of which the older stays.
            if len(here) == block.count or passed > _STRAGGLERS:
                return here
            if not here and len(ours) > sum(launched.count(one) for one in names):
                launched += [one.alias for one in ours]  # made and ended since we looked
                return {}
            time.sleep(_POLL)

    def _known(self, block: Block, there: dict[str, Instance]) -> Made:
        _write_names(self._session, self._making.cluster.name, list(there.values()))
        lacking = CapacityError(
            "The nodes that were launched together with this one are there, and it is not.",
            code="InsufficientInstanceCapacity",
        )
        return [there.get(name, lacking) for name in block.aliases]


def rows(planned: Sequence[PlannedNode]) -> Iterator[list[PlannedNode]]:
    """Give the workers that one fleet can launch: alike, and with names in a row."""
    row: list[PlannedNode] = []
    for one in sorted(planned, key=lambda one: number_of(one.alias)):
        if row and not (
            replace(one, alias=row[-1].alias) == row[-1]
            and number_of(one.alias) == number_of(row[-1].alias) + 1
            and len(row) < fleets.MOST
        ):
            yield row
            row = []
        row.append(one)
    if row:
        yield row


def take_over(
    session: Session, cluster: str, there: Sequence[Instance], planned: Sequence[PlannedNode]
) -> None:
    """Finish launches that were cut off: give nodes their names, and delete launch templates.

    Parameters
    ----------
    there : sequence of Instance
        The nodes that have been launched and are gone on with.
    planned : sequence of PlannedNode
        Those that are to be launched; a template by which that was begun is used.
    """
    _write_names(session, cluster, there)
    workers = [one for one in planned if one.alias != MASTER]
    firsts = {number_of(row[0].alias) for row in rows(workers)}
    for mould in fleets.moulds(session, cluster):
        block = Block.read(mould.tags)
        if block is None or block.first not in firsts:
            _delete(session, mould)


def _write_names(session: Session, cluster: str, found: Sequence[Instance]) -> None:
    named = {one.id: one.alias for one in found if one.provisional}
    if named:
        fleets.write_names(session, named, cluster)


def _delete(session: Session, mould: Mould) -> None:
    who = mould.tags.get(tags.OWNER, "")
    if who == owner.myself() or owner.has_died(who):
        fleets.delete_mould(session, mould.id)


def _highest(one: Instance) -> int:
    """Return the highest number that an instance's launch has claimed."""
    block = Block.read(one.tags)
    return max(number_of(one.alias), block.last if block else 0)


def _named(block: Block, fleet: Fleet) -> list[Instance]:
    """Return what a fleet has launched, by the names."""
    return [
        replace(one, tags={**one.tags, tags.ALIAS: name})
        for one, name in zip(fleet.instances, block.aliases, strict=False)
    ]


def _lacks(made: Instance | Exception) -> bool:
    """Return whether there was no capacity for a node; a quota is one for each market."""
    return isinstance(made, CapacityError)
