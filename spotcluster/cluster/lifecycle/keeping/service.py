"""``python -m ... CLUSTER REGION KEY``: the keeper on the master; see `on_master`.

It ends with the status that its supervisor takes for the end where there is nothing to keep any
more, and is started again after anything else.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from spotcluster.errors import ClusterError, SpotclusterError
from spotcluster.node_layout import DONE

if TYPE_CHECKING:
    from spotcluster.cluster.cluster import Cluster

LONGEST = 1_000_000
"""Bytes of the log after which another file is begun; keeper.sh is given it too."""


def main() -> int:
    """Keep the cluster; return the status of the process."""
    # paramiko wants it for one directive of ssh_config that nobody reads here, and has it bring
    # asyncio and a library of mocks: a tenth of all the memory.
    sys.modules["invoke"] = None  # type: ignore[assignment]
    from spotcluster.aws.session import Session
    from spotcluster.cluster import cluster as clusters
    from spotcluster.cluster.lifecycle.keeping import wanted
    from spotcluster.cluster.lifecycle.keeping.keeper import Keeper

    name, region, key = sys.argv[1:]
    session = Session(region)

    def find() -> Cluster:
        cluster = clusters.find_from_master(session, name, Path(key))
        if cluster is None:
            raise ClusterError(f"There is no cluster '{name}' in {region} any more.")
        return cluster

    try:
        cluster = find()
        rules = wanted.rules(cluster.record)
        if rules is None:
            _say(f"the master of '{name}' is not to keep it any more")
            return DONE
        over = Keeper(find, rules, _say, beat=_beat).run(cluster)
    except SpotclusterError as error:
        _say(str(error))
        return 1
    _say(over.message)
    return DONE


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
