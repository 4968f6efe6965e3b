"""A template's TAGS are on everything that is made for its cluster."""

from __future__ import annotations

import json

from .world import World


def test_tags_of_the_template_are_on_all_that_is_made(world: World) -> None:
    config = world.home / "config"
    own = "[cluster bare]\nTAGS = project:digits, owner:me@example.org\n"
    config.write_text(config.read_text().replace("[cluster bare]\n", own))
    start = ("start", "-c", "bare", "-s", "3", "-b", "0.5", "mycluster")
    planned = json.loads(world.run(*start, "--dry-run", "--json").out)
    assert planned["tags"] == {"project": "digits", "owner": "me@example.org"}
    assert "Tags of all of it: project:digits" in world.run(*start, "--dry-run").out
    world.run(*start)
    config.write_text(config.read_text().replace("TAGS = project:digits", "TAGS = project:other"))
    world.run("addnode", "-s", "1", "-b", "0.5", "mycluster")
    assert len(world.ready()) == 4
    backend = world.cloud.backend("123456789012", "us-east-1")
    with world.cloud.lock:
        made = {
            one: dict(own)
            for one, own in backend.tags.items()
            if own.get("spotcluster:cluster") == "mycluster"
        }
    kinds = {one.split("-")[0] for one in made}
    assert {"fleet", "i", "lt", "sg", "sir", "vol"} <= kinds
    lacking = {
        one: own
        for one, own in made.items()
        if (own.get("project"), own.get("owner")) != ("digits", "me@example.org")
    }
    assert lacking == {}
    world.run("terminate", "-y", "mycluster")
    assert world.left() == []
