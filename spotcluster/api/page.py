"""A cluster as HTML, for a notebook: its nodes, how it does, and what it costs."""

from __future__ import annotations

from spotcluster import notebooks, wording
from spotcluster.cluster.status import listing
from spotcluster.cluster.status.listing import Listed
from spotcluster.notebooks import AMBER, NUMBER, WORD, escaped

_NODES = 40  # that have a line each


def page(seen: Listed) -> str:
    """Return a cluster as `listclusters` sees it."""
    words = [seen.state, f"{listing.counted(seen.nodes, seen.size)} in {seen.region}"]
    if seen.up_since:
        words.append(f"up {listing.uptime(seen.up_since)}")
    words.append(
        "price unknown" if seen.price is None else f"{wording.usd(round(seen.price, 4))}/h"
    )
    words.append(wording.spent(seen.cost))
    if seen.up_since and seen.idle_limit:
        words.append(f"ends after {wording.time_left(seen.idle_limit)} idle")
    heads = [
        *(("node", WORD), ("state", WORD), ("type", WORD), ("market", WORD), ("zone", WORD)),
        *(("address", NUMBER), ("instance", NUMBER)),
    ]
    rows = [
        tuple(
            map(
                escaped,
                (
                    one.alias,
                    one.state if one.ready or one.state != "running" else "not set up",
                    one.type,
                    "spot" if one.spot else "on demand",
                    one.zone,
                    one.address,
                    one.id,
                ),
            )
        )
        for one in seen.nodes[:_NODES]
    ]
    more = len(seen.nodes) - len(rows)
    return notebooks.block(
        f"<div><b>{escaped(seen.name)}</b> &nbsp; {escaped(', '.join(words))}</div>",
        notebooks.table(heads, rows) if rows else "",
        notebooks.line(f"and {more} more nodes") if more else "",
        notebooks.line(listing.what_mends(seen.name, seen.region), AMBER)
        if seen.state == "incomplete"
        else "",
    )
