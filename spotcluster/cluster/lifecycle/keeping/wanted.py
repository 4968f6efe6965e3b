"""How a master is to keep its cluster, as it is written down in a tag of the cluster's."""

from __future__ import annotations

import dataclasses
import json

from spotcluster.aws import tags
from spotcluster.cluster.lifecycle.keeping.decision import Rules
from spotcluster.cluster.records import Record

_IDLE, _PAUSE = 300.0, 180.0


def text(rules: Rules) -> str:
    """Return rules as the tag has them."""
    return json.dumps(dataclasses.asdict(rules))


def rules(record: Record) -> Rules | None:
    """Return how a cluster's master is to keep it; None where it is not to."""
    if not record.keeps_itself:
        return None
    said = record.tags.get(tags.KEEP)
    usual = Rules(None, None, record.template.target_seconds, _IDLE, _PAUSE, None)
    try:
        return Rules(**json.loads(said)) if said else usual
    except (ValueError, TypeError):  # of another version
        return usual
