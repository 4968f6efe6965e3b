"""What PACKAGES names beside requirements: files, lock files, this computer's environment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from uv import find_uv_bin

from spotcluster.errors import NodeError
from spotcluster.plugins import loader, pypackages, requirements
from spotcluster.plugins.loader import PluginError
from spotcluster.plugins.pypackages import PyPkgInstaller
from spotcluster.plugins.requirements import Content, content

SETUP_CLASS = "spotcluster.plugins.pypackages.PyPkgInstaller"
ONE = "--hash=sha256:" + "1" * 64
TWO = "--hash=sha256:" + "2" * 64


def of_file(folder: Path, text: str, name: str = "requirements.txt") -> Content:
    (folder / name).write_text(text)
    return content([f"-r {folder / name}"])


def refusal(folder: Path, text: str, name: str = "requirements.txt") -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        of_file(folder, text, name)
    return str(caught.value)


def test_file_is_read_as_pip_reads_it(tmp_path: Path) -> None:
    read = of_file(
        tmp_path,
        "\ufeff# all that is needed\n\nnumpy>=2 # fast\nscipy; \\\n  python_version >= '3.11'\n"
        "tool @ https://example.org/tool#egg.zip\npandas[excel]\n",
    )
    assert read.plain == (
        "numpy>=2",
        "scipy;    python_version >= '3.11'",
        "tool @ https://example.org/tool#egg.zip",
        "pandas[excel]",
    )
    assert (read.hashed, read.constraints, read.left_out) == ((), (), ())


def test_files_that_a_file_names_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text("numpy\n-c ../bounds.txt\n")
    (tmp_path / "bounds.txt").write_text("joblib<2\n")
    read = of_file(tmp_path, "-r more/base.txt\n--constraint=bounds.txt\nscipy\n")
    assert read.plain == ("numpy", "scipy")
    assert read.constraints == ("joblib<2",)


def test_what_constraints_include_are_constraints(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("-r d.txt\n")
    (tmp_path / "d.txt").write_text("numpy==2.0\n")
    read = of_file(tmp_path, "-c c.txt\n")
    assert (read.plain, read.constraints) == ((), ("numpy==2.0",))


def test_hashes_stay_with_their_requirements(tmp_path: Path) -> None:
    read = of_file(tmp_path, f"numpy==2.0 \\\n    {ONE} \\\n    {TWO}\njoblib==1.6 {ONE}\n")
    assert read.plain == ()
    assert read.hashed == (f"numpy==2.0 {ONE} {TWO}", f"joblib==1.6 {ONE}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"numpy==2 {ONE}\nscipy==1\n", "line 2: 'scipy==1' has no hash, but others have one"),
        ("--require-hashes\nnumpy==2\n", "line 2: 'numpy==2' has no hash"),
        ("numpy==2 --hash=md5:12\n", "line 1: '--hash=md5:12' is no hash that is taken here"),
        ("a\n-e ./mine\n", "line 2: '-e ./mine' is a file or folder of this computer"),
        ("-e git+https://example.org/a.git#egg=a\n", "a' is editable, which nothing on a node"),
        ("../mine-1.0.whl\n", "is a file or folder of this computer"),
        ("mine @ file:///home/me/mine\n", "is a file or folder of this computer"),
        ("-i https://a.example/\n", "not given the option '-i'; INDEX_URL, EXTRA_INDEX_URL say it"),
        ("--extra-index-url=https://me:pa55@a.example\n", "the option '--extra-index-url'; INDEX"),
        ("--pre\n", "nodes are not given the option '--pre'"),
        ("two words\n", "line 1: 'two words' is not a requirement that pip takes"),
        ("a @ https://me:pa55@example.org/a.zip\n", "the URL of a holds a name or password"),
        ("a==${VERSION}\n", "variables of the environment are not put in here"),
        ("-r nothing.txt\n", "nothing.txt' does not exist"),
        ("-r requirements.txt\n", "requirements.txt' includes itself"),
        (f"-c c.txt\n{'#' * 9}\n", "hashes of constraints are not checked"),
    ],
)
def test_what_nodes_cannot_have_is_refused_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "c.txt").write_text(f"numpy==2 {ONE}\n")
    told = refusal(tmp_path, text)
    assert said in told
    assert "pa55" not in told


def test_password_of_a_line_that_is_no_requirement_is_not_shown(tmp_path: Path) -> None:
    assert "pa55" not in refusal(tmp_path, "https://me:pa55@example.org/a b\n")


@pytest.mark.parametrize("text", ["\xff\xfe", b"\xff\xfe\x00"])
def test_file_that_is_no_text_is_refused(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "requirements.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("latin-1"))
    with pytest.raises(ValueError, match="is not UTF-8 text"):
        content([f"-r {path}"])


# --- lock files -----------------------------------------------------------------------------------

PYPROJECT = """
[project]
name = "mine"
version = "1"
requires-python = ">=3.11"
dependencies = ["one", "beside"]

[dependency-groups]
dev = ["two"]

[tool.uv.sources]
beside = { path = "beside" }
"""
LOCK = f"""
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "beside"
version = "1"
source = {{ directory = "beside" }}

[[package]]
name = "mine"
version = "1"
source = {{ virtual = "." }}
dependencies = [{{ name = "beside" }}, {{ name = "one" }}]

[package.dev-dependencies]
dev = [{{ name = "two" }}]

[package.metadata]
requires-dist = [{{ name = "beside", directory = "beside" }}, {{ name = "one" }}]

[package.metadata.requires-dev]
dev = [{{ name = "two" }}]

[[package]]
name = "one"
version = "1.5"
source = {{ registry = "https://pypi.org/simple" }}
wheels = [
    {{ url = "https://example.org/one-1.5-py3-none-any.whl", hash = "sha256:{"1" * 64}" }},
]

[[package]]
name = "two"
version = "2.5"
source = {{ registry = "https://pypi.org/simple" }}
wheels = [
    {{ url = "https://example.org/two-2.5-py3-none-any.whl", hash = "sha256:{"2" * 64}" }},
]
"""


def project(folder: Path) -> Path:
    (folder / "beside").mkdir()
    (folder / "beside" / "pyproject.toml").write_text('[project]\nname = "beside"\nversion = "1"\n')
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "uv.lock").write_text(LOCK)
    return folder / "uv.lock"


def test_lock_file_of_uv_brings_what_the_project_needs_with_hashes(tmp_path: Path) -> None:
    assert subprocess.run([find_uv_bin(), "--version"], check=True).returncode == 0
    read = content([f"-r {project(tmp_path)}"])
    assert read.hashed == (f"one==1.5 {ONE}",)
    assert read.plain == ()
    assert [Path(one).name for one in read.left_out] == ["beside"]


def test_lock_file_without_its_project_is_refused(tmp_path: Path) -> None:
    path = project(tmp_path)
    (tmp_path / "pyproject.toml").unlink()
    with pytest.raises(ValueError, match=r"has no pyproject\.toml beside it"):
        content([f"-r {path}"])


def test_lock_file_that_uv_cannot_read_is_refused_with_uvs_words(tmp_path: Path) -> None:
    path = project(tmp_path)
    path.write_text("version = 'one'\n")
    with pytest.raises(ValueError, match=r"uv.lock': uv cannot read it: .*parse"):
        content([f"-r {path}"])


# --- conda's environments -------------------------------------------------------------------------


def test_pips_part_of_a_conda_environment_is_taken(tmp_path: Path) -> None:
    text = "name: mine\ndependencies:\n- python=3.12.4\n- pip\n- pip:\n  - numpy>=2\n  - -r r.txt\n"
    (tmp_path / "r.txt").write_text("scipy\n")
    read = of_file(tmp_path, text, "environment.yml")
    assert (read.plain, read.python) == (("numpy>=2", "scipy"), "3.12")


@pytest.mark.parametrize("text", ["a: [", "- a", "dependencies: numpy", "dependencies:\n- {a: b}"])
def test_what_is_no_conda_environment_is_refused(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text, "environment.yaml").startswith(f"'{tmp_path}/environment.yaml'")


# --- this computer --------------------------------------------------------------------------------


def installed(folder: Path, name: str, version: str, direct: dict[str, Any] | None = None) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if direct is not None:
        (info / "direct_url.json").write_text(json.dumps(direct))


def test_this_is_what_the_environment_has_from_indexes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = {"url": "file:///home/me/mine", "dir_info": {"editable": True}}
    git = {"url": "https://example.org/g.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}
    archive = {"url": "https://example.org/a.zip", "archive_info": {"hashes": {"sha256": "ab"}}}
    secret = {"url": "https://me:pa55@example.org/s.zip", "archive_info": {}}
    for name, direct in {
        "Mine": folder,
        "from_git": {**git, "subdirectory": "sub"},
        "archived": archive,
        "secret": secret,
        "damaged": {},
    }.items():
        installed(tmp_path / "own", name, "1.0", direct)
    installed(tmp_path / "own", "torch", "2.9.0+cpu")
    installed(tmp_path / "own", "twice", "2.0")
    installed(tmp_path / "below", "Twice", "1.0")
    monkeypatch.setattr("sys.path", [str(tmp_path / "own"), str(tmp_path / "below")])
    read = content(["@this"])
    assert read.plain == (
        "archived @ https://example.org/a.zip#sha256=ab",
        "from_git @ git+https://example.org/g.git@c0ffee#subdirectory=sub",
        "torch==2.9.0",
        "twice==2.0",
    )
    assert [Requirement(one).name for one in read.plain]
    assert read.left_out == ("Mine", "damaged", "secret")


def test_this_computers_own_environment_can_be_named() -> None:
    read = content(["@this"])
    assert any(one.startswith("numpy==") for one in read.plain)
    assert "spotcluster" in read.left_out


# --- from the config to nodes ---------------------------------------------------------------------


def plugin_of(folder: Path, packages: str, **more: str) -> PyPkgInstaller:
    settled = loader.settle("p", SETUP_CLASS, {"packages": packages, **more}, folder)
    made = loader.make("p", SETUP_CLASS, settled)
    assert isinstance(made, PyPkgInstaller)
    return made


def test_relative_paths_are_beside_the_config(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("numpy\n")
    project(tmp_path)
    made = plugin_of(tmp_path, "psutil, -r r.txt, uv.lock")
    assert made.packages == ("psutil", f"-r {tmp_path}/r.txt", f"-r {tmp_path}/uv.lock")
    assert made.digest


def test_packages_without_files_have_no_digest(tmp_path: Path) -> None:
    assert plugin_of(tmp_path, "psutil, numpy>=2,<3").digest is None


def test_missing_file_is_a_problem_of_its_key(tmp_path: Path) -> None:
    with pytest.raises(PluginError) as caught:
        plugin_of(tmp_path, "-r r.txt")
    assert caught.value.reasons == (("packages", f"'{tmp_path}/r.txt' does not exist."),)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", ""),
        ("=3", ""),
        (">=3.8", ""),
        (" >=3.8,<3.99", ""),
        ("!=3.8", ""),
        ("=3.12", "3.12"),
        ("==3.12.*", "3.12"),
        (" 3.12.4", "3.12"),
        ("=3.12.4=h9e4cc4f_1", "3.12"),
    ],
)
def test_a_bound_of_python_was_taken_for_the_version_that_nodes_get(
    tmp_path: Path, wanted: str, found: str
) -> None:
    text = f"dependencies:\n- python{wanted}\n- pip:\n  - numpy\n"
    assert of_file(tmp_path, text, "environment.yml").python == found


@pytest.mark.parametrize("wanted", ["<3.9", ">=3.98", "=>3.10", "=2"])
def test_bound_that_this_computers_python_does_not_keep_is_refused(
    tmp_path: Path, wanted: str
) -> None:
    told = refusal(tmp_path, f"dependencies:\n- 'python{wanted}'\n", "environment.yml")
    assert f"'python {wanted}' does not say which minor version nodes get" in told


def test_python_of_an_environment_is_that_of_the_nodes(tmp_path: Path) -> None:
    (tmp_path / "e.yml").write_text("dependencies: [python=3.12, {pip: [numpy]}]\n")
    assert plugin_of(tmp_path, "e.yml").python == "3.12"
    with pytest.raises(PluginError, match=r"'3\.13' is not the 3\.12 of PACKAGES"):
        plugin_of(tmp_path, "e.yml", python="3.13")


class Master:
    """A master that keeps files."""

    is_master = True
    alias = "master"

    def __init__(self) -> None:
        self.account = self
        self.files: dict[str, bytes] = {}

    def put(self, data: bytes, target: str) -> None:
        self.files[target] = data

    def get(self, source: str) -> bytes:
        if source not in self.files:
            raise FileNotFoundError(source)
        return self.files[source]


def cluster_of(master: Master) -> Any:
    notes: list[str] = []
    return SimpleNamespace(
        master=master, notes=notes, note=notes.append, together=lambda _, one, do: do([one])
    )


def test_node_that_joins_from_elsewhere_gets_what_the_master_was_given(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_text("numpy==2.0\n")
    made = plugin_of(tmp_path, "-r r.txt")
    master: Any = Master()
    worker: Any = SimpleNamespace(is_master=False, alias="node001")
    assert made._content(cluster_of(master), master).plain == ("numpy==2.0",)
    path.write_text("numpy==2.1\n")
    pypackages._read_here.cache_clear()  # another process
    assert made._content(cluster_of(master), worker).plain == ("numpy==2.0",)
    for damaged in ("{}", Content(plain=("evil",)).text):
        master.files = dict.fromkeys(master.files, damaged.encode())
        with pytest.raises(NodeError, match=r"neither on this computer nor\s+on the master"):
            made._content(cluster_of(master), worker)


def test_what_is_left_out_is_said_once(tmp_path: Path) -> None:
    made = plugin_of(tmp_path, "@this")
    master: Any = Master()
    worker: Any = SimpleNamespace(is_master=False, alias="node001")
    cluster = cluster_of(master)
    made._content(cluster, master)
    made._content(cluster, worker)
    (note,) = cluster.notes
    assert note.startswith("not on nodes, as no index has it: ")
    assert "spotcluster" in note


def test_content_survives_being_written_down() -> None:
    whole = Content(("a",), ("b==1 --hash=sha256:x",), ("c<2",), ("d",), "3.12")
    assert Content.parse(whole.text) == whole
    assert requirements.versioned([*whole.plain, *whole.hashed, *whole.constraints]) == ["b", "c"]
