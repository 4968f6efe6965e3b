"""Where nodes have what: once in Python, once in shell, and nowhere else."""

from __future__ import annotations

import importlib.util
import re
import runpy
import subprocess
from pathlib import Path

import pytest

from spotcluster import node_layout, templates
from spotcluster.search.engine import here

HOUSE = Path(__file__).parents[2]
OWNERS = {"spotcluster/node_layout.py", "templates/layout.sh"}
COPIES = {"spotcluster/search/engine/here.py"}  # sent as text, and held below

# What clusters of a45db88 have, which are there still.
FIXED = {
    "ROOT": "~/.spotcluster",
    "ENV": "~/.spotcluster/env",
    "BIN": "~/.spotcluster/env/bin",
    "PYTHON": "~/.spotcluster/env/bin/python",
    "SECURITY": "~/.spotcluster/ipython/security",
    "CLIENT_FILE": "~/.spotcluster/ipython/security/ipcontroller-client.json",
    "ENGINE_FILE": "~/.spotcluster/ipython/security/ipcontroller-engine.json",
    "DRAIN": "~/.spotcluster/drain",
    "NOTICES": "~/.spotcluster/notices",
    "DASK": "~/.spotcluster/dask",
    "RAY": "~/.spotcluster/ray",
    "ENGINES": "~/.spotcluster/engines",
    "SERVICES": "~/.spotcluster/services",
    "DONE": 78,
}
SHELL = {
    "root": node_layout.ROOT,
    "env": node_layout.ENV,
    "env_python": node_layout.PYTHON,
    "security": node_layout.SECURITY,
    "client_file": node_layout.CLIENT_FILE,
    "engine_file": node_layout.ENGINE_FILE,
    "drain": node_layout.DRAIN,
    "notices": node_layout.NOTICES,
    "dask": node_layout.DASK,
    "ray": node_layout.RAY,
    "engines": node_layout.ENGINES,
    "services": node_layout.SERVICES,
    "stay_ended": node_layout.DONE,
}
SPELLED = re.compile(
    r"ipcontroller-(client|engine)|ipython/security|\"security\"|/drain\b|\"drain\"|env/bin"
    r"|(?<![\w.,])78(?![\w.])"
)


def in_shell(script: str, home: str = "/home/me") -> str:
    layout = templates.read("layout.sh")
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{layout}\n{script}"],
        env={"HOME": home, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_nothing_moves_on_nodes_that_are_there() -> None:
    names = [name for name in vars(node_layout) if name.isupper() and not name.startswith("_")]
    assert {name: getattr(node_layout, name) for name in names} == FIXED


def test_shell_says_the_same() -> None:
    said = in_shell("\n".join(f'echo "${name}"' for name in SHELL)).splitlines()
    assert said == [str(one).replace("~", "/home/me") for one in SHELL.values()]


@pytest.fixture
def identity() -> str:
    """What the program that makes engines calls one."""
    program = runpy.run_path(str(HOUSE / "templates" / "engines.py"))
    made: str = program["identity"]("node001", 12)
    return made


def test_engine_is_found_by_its_node(identity: str) -> None:
    assert node_layout.engine_place(identity) == ("node001", 12)
    assert identity.startswith(node_layout.engines_of("node001"))
    assert not identity.startswith(node_layout.engines_of("node00"))


def test_broadcast_view_failed_as_no_engine_had_a_name_that_python_takes(identity: str) -> None:
    assert identity.replace("-", "_").isidentifier()  # as ipyparallel's engines make names of it


def test_engine_of_a_cluster_of_an_earlier_version_is_found_by_its_node() -> None:
    assert node_layout.engine_place("node001.12.4711-815") == ("node001", 12)
    assert "node001.12.4711-815".startswith(node_layout.engines_of("node001"))
    assert not "node0011_1_1-1".startswith(node_layout.engines_of("node001"))


def test_engine_of_somebody_else_has_no_place() -> None:
    assert node_layout.engine_place("3f2a-11") is None
    assert node_layout.engine_place("laptop.local.1") is None
    assert node_layout.engine_place("9d1f6a10-bb2c3dd0a3d4") is None
    assert node_layout.engine_place("") is None


def test_programs_that_have_a_copy_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SPOTCLUSTER_DRAIN_FLAG", raising=False)
    assert here.drain_flag() == Path(node_layout.DRAIN).expanduser()

    Path(node_layout.ENV).expanduser().mkdir(parents=True)
    spec = importlib.util.spec_from_file_location("job", HOUSE / "templates" / "job.py")
    assert spec
    assert spec.loader
    job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(job)
    assert Path(node_layout.ROOT).expanduser() == job.ROOT
    run = job.Run(1)
    run.reader.close()
    run.writer.close()
    run.spec = {"cluster": "demo"}
    found = run.environment()
    assert found["VIRTUAL_ENV"] == str(Path(node_layout.ENV).expanduser())
    assert found["PATH"].split(":")[0] == str(Path(node_layout.BIN).expanduser())


def test_nobody_else_spells_them() -> None:
    files = [
        path
        for folder in ("spotcluster", "plugins", "templates")
        for path in sorted((HOUSE / folder).rglob("*"))
        if path.is_file() and path.suffix in (".py", ".sh", ".unit")
    ]
    assert {str(path.relative_to(HOUSE)) for path in files} > OWNERS | COPIES
    wrong = [
        f"{name}: {line.strip()}"
        for path in files
        if (name := str(path.relative_to(HOUSE))) not in OWNERS | COPIES
        for line in path.read_text().splitlines()
        if SPELLED.search(line)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", sorted(path.name for path in (HOUSE / "templates").glob("*.sh")))
def test_every_script_is_whole_and_finds_the_layout_that_it_names(name: str) -> None:
    script = templates.read(name)
    assert not re.search(r"^\s*\. layout\.sh", script, re.MULTILINE)
    subprocess.run(["bash", "-n", "-c", script], check=True)
    used = set(re.findall(r"\$\{?(env_python|client_file|engine_file|stay_ended)\b", script))
    assert all(f"\n{one}=" in script for one in used)
