"""Every table of the program in a terminal of 80 columns."""

from __future__ import annotations

import json
from pathlib import Path

from .changes import at_columns
from .world import REGION, World

NAME = "a-cluster-of-somebody-who-likes-names"
WIDE = """
[cluster wide]
EXTENDS = bare
NODE_INSTANCE_TYPES = c5.9xlarge, m5.12xlarge, c5.large, r5.24xlarge
SPOT_BID = 9
"""


def test_every_table_fits_a_terminal_of_80_columns(world: World, spotcluster_home: Path) -> None:
    config = spotcluster_home / "config"
    config.write_text(config.read_text() + WIDE)
    here = ("-r", REGION)
    world.run(*here, "createvolume", "1", "-n", "a-volume-with-a-name-that-says-what-is-on-it")
    world.run("start", "-c", "wide", "-s", "3", NAME)
    world.change(at_columns, 80)
    shown = {
        words: world.run(*words).out
        for words in [
            ("start", "-c", "wide", "-s", "4", "--dry-run", "other"),
            ("start", "-c", "wide", "-s", "400", "--dry-run", "other"),
            (*here, "spothistory", "c5.large", "m5.12xlarge", "r5.24xlarge"),
            ("listclusters",),
            ("status", NAME),
            (*here, "listinstances"),
            (*here, "listspots"),
            (*here, "listvolumes"),
            (*here, "listkeypairs"),
            (*here, "listzones"),
            (*here, "listregions"),
            ("config", "show", "wide"),
        ]
    }
    for words, text in shown.items():
        # A sentence is folded by the terminal, a table is not.
        prose = (f"{NAME}: ", "Image: ", "Also: ", "The bid of ", str(config))
        long = [one for one in text.splitlines() if len(one) > 80 and not one.startswith(prose)]
        assert not long, (words, long)
        assert len(text.splitlines()) >= 2, words


def test_bid_far_above_the_price_on_demand_is_remarked(
    world: World, spotcluster_home: Path
) -> None:
    high = world.run("start", "-c", "bare", "-b", "9", "--dry-run", "other").out
    assert "The bid of $9/h is 106 times what c5.large costs on demand, $0.085/h" in high
    usual = world.run("start", "-c", "bare", "-b", "0.17", "--dry-run", "other").out
    assert "The bid of" not in usual
    much = world.run("start", "-c", "bare", "-b", "1e9", "--dry-run", "other").out
    assert "$1000000000/h" in much
    assert "e+" not in much


def test_json_of_a_dry_run_has_every_pool_also_where_all_cost_the_same(
    world: World, spotcluster_home: Path
) -> None:
    """It had twelve, or none where there was nothing to choose."""
    config = spotcluster_home / "config"
    config.write_text(config.read_text() + WIDE)
    zones = json.loads(world.run("-r", REGION, "listzones", "--json").out)
    keys = {
        *("type", "zone", "usd_per_hour", "usd_per_vcpu_hour"),
        *("on_demand_usd_per_hour", "saving", "chosen"),
    }
    for template, kinds in (("wide", 4), ("steady", 1)):
        said = world.run("start", "-c", template, "-s", "3", "--dry-run", "--json", "other").out
        pools = json.loads(said)["pools"]
        assert {frozenset(one) for one in pools} == {frozenset(keys)}
        assert len({(one["type"], one["zone"]) for one in pools}) == len(pools)
        assert len({one["type"] for one in pools}) == kinds
        assert len(pools) >= kinds * (len(zones) - 2)
        assert all(one["on_demand_usd_per_hour"] for one in pools)
    world.run("-r", REGION, "spothistory", "c5.large", "--json")
