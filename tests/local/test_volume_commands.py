"""Volumes on the local cloud: attached, listed and kept; what needs root is left out and said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import cli

pytestmark = pytest.mark.usefixtures("in_module_cloud")


def test_volume_is_attached_listed_and_kept(module_home: Path) -> None:
    cli("-r", "local", "createkey", "vkey")
    config = module_home / "volumes.ini"
    config.touch(mode=0o600)
    config.write_text(
        "[key vkey]\n[cluster keeping]\nKEYNAME = vkey\nNODE_INSTANCE_TYPE = c5.large\n"
        "REGION = local\nVOLUMES = data\n[volume data]\nVOLUME_ID = data\nMOUNT_PATH = /data\n"
    )
    ours = ("-r", "local", "-c", str(config))
    cli(*ours, "createvolume", "5", "us-east-1b", "-n", "data")
    assert "already a volume 'data'" in cli(*ours, "createvolume", "5", "-n", "data", status=2)
    assert "--format" in cli(*ours, "start", "keeper", status=2)
    said = cli(*ours, "start", "--format", "keeper")
    assert "mounting the volumes on /data" in said
    (found,) = json.loads(cli(*ours, "listvolumes", "--json"))
    assert (found["name"], found["cluster"], found["alias"]) == ("data", "keeper", "master")
    assert found["zone"] == "us-east-1b"
    assert "is attached to" in cli(*ours, "removevolume", "-y", "data", status=2)
    assert "had 5 GiB and has 6 GiB" in cli(*ours, "resizevolume", "data", "6")
    assert "volumes that are kept: 'data'" in cli(*ours, "terminate", "keeper", status=2)
    assert "Volumes that are kept: 'data'" in cli(*ours, "terminate", "-y", "keeper")
    assert "6 GiB" in cli(*ours, "listvolumes")
    cli(*ours, "removevolume", "-y", "data")
    assert json.loads(cli(*ours, "listvolumes", "--json")) == []
