"""What the local cloud keeps about itself, lost or damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from spotcluster import files
from spotcluster.errors import LocalCloudError
from spotcluster.local import record

GOOD: dict[str, Any] = {"access_key": "AKIAX", "secret_key": "secret", "port": 4321}
RUNNING: dict[str, Any] = {"pid": 2**22 + 1, "created": 1.0, "url": "http://127.0.0.1:4321"}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "\0\0\0", "[" * 100_000, '{"access_key": "AKIAX"}'),
        json.dumps({**GOOD, "access_key": 7}),
        json.dumps({**GOOD, "secret_key": None}),
        json.dumps({**GOOD, "access_key": ""}),
    ],
)
def test_settings_that_are_damaged_are_made_anew(tmp_path: Path, text: str) -> None:
    files.write_private(tmp_path / "settings.json", text)
    made = record.settings(tmp_path)
    assert made.credentials.access_key.startswith("AKIA")
    assert made.credentials.secret_key
    assert record.settings(tmp_path) == made


@pytest.mark.parametrize("port", ["x", None, -1, 70000, [1]])
def test_a_port_that_cannot_be_does_not_take_the_key_along(tmp_path: Path, port: object) -> None:
    files.write_private(tmp_path / "settings.json", json.dumps({**GOOD, "port": port}))
    assert record.settings(tmp_path).credentials.access_key == "AKIAX"
    assert record.settings(tmp_path).port == 0


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "7", '{"pid": 1}'),
        *(
            json.dumps({**RUNNING, name: value})
            for name, value in (
                *(("pid", "x"), ("pid", -1), ("pid", 0), ("pid", 10**30), ("pid", None)),
                *(("created", "x"), ("url", 7), ("url", "http://example.com:80")),
            )
        ),
    ],
)
def test_a_daemon_file_that_cannot_be_tells_of_none(tmp_path: Path, text: str) -> None:
    files.write_private(tmp_path / "daemon.json", text)
    assert record.read(tmp_path) is None


@pytest.mark.parametrize("created", [1.0, float("nan"), 1e300])
def test_a_daemon_that_is_no_more_has_crashed(tmp_path: Path, created: float) -> None:
    told = {**RUNNING, "pid": os.getpid(), "created": created}
    files.write_private(tmp_path / "daemon.json", json.dumps(told))
    found = record.read(tmp_path)
    assert found is not None
    assert not found.is_alive()


@pytest.mark.parametrize("name", ["settings.json", "daemon.json"])
def test_a_folder_in_a_files_place_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(LocalCloudError, match=f"{name}.* cannot be read: "):
        record.settings(tmp_path) if name == "settings.json" else record.read(tmp_path)
