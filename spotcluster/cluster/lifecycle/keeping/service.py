"""``python -m ... CLUSTER REGION KEY``: the keeper on the master; see `on_master`.

It ends with the status that its supervisor takes for the end where there is nothing to keep any
more, and is started again after anything else.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from spotcluster.aws.session import Session
from spotcluster.cluster import cluster as clusters
from spotcluster.cluster.cluster import Cluster
from spotcluster.cluster.lifecycle.keeping import wanted
from spotcluster.cluster.lifecycle.keeping.keeper import Keeper
from spotcluster.errors import ClusterError, SpotclusterError
from spotcluster.node_layout import DONE


def main() -> int:
    """Keep the cluster; return the status of the process."""
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
        over = Keeper(find, rules, _say, beat=(Path.home() / "beat").touch).run(cluster)
    except SpotclusterError as error:
        _say(str(error))
        return 1
    _say(over.message)
    return DONE


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}", flush=True)  # noqa: T201 - it is the log


if __name__ == "__main__":
    sys.exit(main())
