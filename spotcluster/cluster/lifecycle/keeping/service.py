"""``python -m ... CLUSTER REGION KEY``: the keeper on the master; see `on_master`.

It ends with the status that its supervisor takes for the end where there is nothing to keep any
more, and is started again after anything else.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from spotcluster.cluster.lifecycle.keeping import relay
from spotcluster.errors import ClusterError, SpotclusterError
from spotcluster.node_layout import DONE

if TYPE_CHECKING:
    from spotcluster.aws.session import Session
    from spotcluster.cluster.cluster import Cluster
    from spotcluster.cluster.lifecycle.keeping.observation import Over

LONGEST = 1_000_000
"""Bytes of the log after which another file is begun; keeper.sh is given it too."""


def main() -> int:
    """Keep the cluster; return the status of the process."""
    # paramiko wants it for one directive of ssh_config that nobody reads here, and has it bring
    # asyncio and a library of mocks: a tenth of all the memory.
    sys.modules["invoke"] = None  # type: ignore[assignment]
    from spotcluster.aws.session import Session

    name, region, key = sys.argv[1:]
    before = relay.taken()
    try:
        session = Session(region, looks=before is not None and before.known is not None)
        if before and before.known:
            from spotcluster.cluster.lifecycle.keeping.watching import watch

            over = watch(session, name, Path(key), before, before.known, _say, _beat)
        else:
            over = _act(session, name, Path(key), before)
    except SpotclusterError as error:
        _say(str(error))
        return 1
    if isinstance(over, relay.State):
        relay.hand_over(over)
    _say(over.message)
    return DONE


def _act(session: Session, name: str, key: Path, before: relay.State | None) -> Over | relay.State:
    """Keep it until there is nothing to do, or nothing to keep any more; return that."""
    from spotcluster.cluster import cluster as clusters
    from spotcluster.cluster.lifecycle.keeping import wanted
    from spotcluster.cluster.lifecycle.keeping.acting import Acting
    from spotcluster.cluster.lifecycle.keeping.keeper import Keeper
    from spotcluster.cluster.lifecycle.keeping.observation import Observation, Over
    from spotcluster.cluster.lifecycle.keeping.watching import ended, written
    from spotcluster.cluster.secrets import without_secrets
    from spotcluster.cluster.status import costs

    def find() -> Cluster:
        cluster = clusters.find_from_master(session, name, key)
        if cluster is None:
            raise ClusterError(f"There is no cluster '{name}' in {session.region} any more.")
        return cluster

    cluster = find()
    rules = wanted.rules(cluster.record)
    if rules is None:
        return Over(f"the master of '{name}' is not to keep it any more")
    hands = Acting(
        cluster,
        find,
        _say,
        rests=True,
        changed=before.changed if before else None,
        counted=before.counted if before else None,
    )
    keeper = Keeper(rules, _say, hands, beat=_beat, noted=before.noted if before else None)
    with Observation(cluster, memory=before.memory if before else None) as seen_by:
        over = keeper.run(cluster, seen_by)
        record = seen_by.record
        if over is not None:
            return over
        assert record  # it rests by that
        over_by_now = sorted(ended(seen_by))
        costs.settle(session, record)
        return relay.State(
            asdict(rules),
            seen_by.memory,
            sorted(keeper.noted),
            hands.changed,
            hands.counted,
            relay.Known(
                without_secrets(record.template).model_dump(mode="json"),
                written(record),
                over_by_now,
            ),
        )


def _beat() -> None:
    home = Path.home()
    (home / "beat").touch()
    turn(home / "log")


def turn(log: Path) -> None:
    """Begin another log where what we write to is long; of those before, the last one is kept."""
    if os.fstat(1).st_size < LONGEST:
        return
    log.replace(log.with_name("log.1"))
    new = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for old in (1, 2):
        os.dup2(new, old)
    os.close(new)


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}", flush=True)  # noqa: T201 - it is the log


if __name__ == "__main__":
    sys.exit(main())
