"""The wheels of the lab: all in them has bytecode, this environment's where that is of the same."""

from __future__ import annotations

import importlib.util
import marshal
import zipfile
from pathlib import Path

import botocore.hooks
import pytest
from machines.bed import wheels

THE_SAME = Path(botocore.hooks.__file__)
NAMES = ("botocore/hooks.py", "botocore/history.py", "own.py")


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    wheel = tmp_path / "made-1.0-py3-none-any.whl"
    changed = THE_SAME.with_name("history.py").read_text() + "\nCHANGED = 1\n"
    with zipfile.ZipFile(wheel, "w") as packed:
        for name, text in zip(NAMES, (THE_SAME.read_text(), changed, "OWN = 1\n"), strict=True):
            packed.writestr(name, text)
        packed.writestr("made/tests/test_own.py", "")
        packed.writestr("made-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in NAMES))
    wheels._prepare(wheel)
    return wheel


def test_all_has_bytecode_that_is_of_what_is_there(prepared: Path) -> None:
    with zipfile.ZipFile(prepared) as packed:
        record = packed.read("made-1.0.dist-info/RECORD").decode()
        assert {line.split(",")[0] for line in record.splitlines()} == {*packed.namelist()} - {
            "made-1.0.dist-info/RECORD"
        }
        for name in NAMES:
            made = packed.read(importlib.util.cache_from_source(name))
            source = packed.read(name)
            assert made[:8] == importlib.util.MAGIC_NUMBER + b"\1\0\0\0", "its time counts"
            assert made[8:16] == importlib.util.source_hash(source)
            # Of where a file was compiled equal code objects say nothing.
            assert marshal.loads(made[16:]).co_names == compile(source, name, "exec").co_names


def test_what_this_environment_has_of_another_file_is_not_taken(tmp_path: Path) -> None:
    same, other = tmp_path / "same.py", tmp_path / "other.py"
    same.write_bytes(THE_SAME.read_bytes())
    other.write_bytes(THE_SAME.read_bytes() + b"\n")
    name = Path(NAMES[0])
    if Path(importlib.util.cache_from_source(str(THE_SAME))).exists():
        assert marshal.loads(wheels.compiled_here(same, name) or b"")
    assert wheels.compiled_here(other, name) is None
    assert wheels.compiled_here(same, Path("not_there.py")) is None
