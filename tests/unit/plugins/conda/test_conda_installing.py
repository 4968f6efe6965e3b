"""Nodes install what the lock names."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from conda_asked import asked
from conda_channels import LOGIN, MINOR, PLATFORM, Channel, installs_as_condas
from uv import find_uv_bin

from spotcluster import templates
from spotcluster.plugins import conda, environment
from spotcluster.plugins.index import Index
from spotcluster.plugins.requirements import Content


def installing(
    home: Path,
    lock: str,
    *packages: str,
    index: Index | None = None,
    drops: bool = False,
    path: str = "",
) -> subprocess.Popen[str]:
    """Begin what a node runs, with this Python's own rattler, and no index."""
    root = home / ".spotcluster"
    root.mkdir(exist_ok=True, parents=True)
    if not (root / "conda").exists():
        (root / "conda").symlink_to(Path(sys.executable).parent.parent)
    script = environment._script(packages, packages, Content(conda=lock), MINOR, index or Index())
    began = "set -euo pipefail\n" + "drops_conda=1\n" * drops
    (home / "script").write_text(began + script)
    uv = Path(find_uv_bin()).parent
    return subprocess.Popen(
        ["bash", home / "script"],
        env={
            "HOME": str(home),
            "PATH": f"{path}:{uv}:{os.environ['PATH']}",
            "UV_OFFLINE": "1",
            "PIP_NO_INDEX": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def install(
    home: Path, lock: str, *packages: str, drops: bool = False, path: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    process = installing(home, lock, *packages, drops=drops, path=path)
    printed, said = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, printed, said)


def test_a_package_with_another_hash_is_not_installed(tmp_path: Path, channel: Channel) -> None:
    lock = conda.lock(asked("greetings", channel.url), MINOR, liked={}, logins={})
    wrong = "".join(
        "  sha256: " + "0" * 64 + "\n" if "sha256: " in line else line
        for line in lock.splitlines(keepends=True)
    )
    done = install(tmp_path, wrong)
    assert done.returncode != 0
    assert "conda: " in done.stderr
    assert "hash mismatch" in done.stderr.lower()
    assert not list(tmp_path.glob(".spotcluster/env/lib/python3*/site-packages/greetings.py"))


def test_machine_of_which_the_lock_says_nothing_is_told_so(
    tmp_path: Path, channel: Channel
) -> None:
    lock = conda.lock(asked("greetings", channel.url), MINOR, liked={}, logins={})
    done = install(tmp_path, lock.replace(PLATFORM, "linux-ppc64le"))
    assert done.returncode != 0
    assert f"solved for linux-ppc64le, and this machine is {PLATFORM}" in done.stderr


@installs_as_condas
def test_what_is_installed_later_leaves_what_conda_has_brought(
    tmp_path: Path, channel: Channel
) -> None:
    """As a notebook's packages, for which nobody reads the lock again."""
    lock = conda.lock(asked("greetings", channel.url), MINOR, liked={}, logins={})
    channel.requests.clear()
    for text in (lock, "", lock):
        done = install(tmp_path, text, "greetings")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / ".spotcluster" / "env" / "conda.lock").read_text() == lock
    fetched = [one for one in channel.requests if one.endswith(".tar.bz2")]
    assert len(fetched) == len(set(fetched)) == 2


@contextmanager
def cut_off(
    channel: Channel, home: Path, lock: str, index: Index | None = None
) -> Iterator[psutil.Process]:
    """Give the process that installs while a package comes, and kill it."""
    channel.requests.clear()
    channel.held = "greetings-2.0-0.tar.bz2"
    channel.released.clear()
    process = installing(home, lock, "greetings", index=index)
    try:
        end = time.monotonic() + 60
        while not any(one.endswith(channel.held) for one in channel.requests):
            assert time.monotonic() < end
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        yield psutil.Process(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        channel.held = ""
        channel.released.set()


def test_login_of_a_channel_is_in_no_command_line_environment_or_file(
    tmp_path: Path, private: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = {"127.0.0.1": LOGIN}
    wanted = asked("greetings", private.url)
    lock = conda.lock(wanted, MINOR, liked={}, logins=logins)
    monkeypatch.setenv("SOME_LOGIN", ":".join(LOGIN))
    index = Index(login="env SOME_LOGIN", channels=wanted.private)
    with cut_off(private, tmp_path, lock, index) as process:
        monkeypatch.delenv("SOME_LOGIN")
        seen = [process, *process.children(recursive=True)]
        assert any("rattler" in " ".join(one.cmdline()) for one in seen)
        for one in seen:
            assert LOGIN[1] not in f"{one.cmdline()} {one.environ()}"
    (tmp_path / "script").unlink()  # which a node has in memory only
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {"conda.lock", "constraints.txt"} & {path.name for path in kept}
    assert not [path for path in kept if LOGIN[1].encode() in path.read_bytes()]


@installs_as_condas
def test_node_that_was_cut_off_while_packages_came_gets_all_of_them(
    tmp_path: Path, channel: Channel
) -> None:
    lock = conda.lock(asked("greetings", channel.url), MINOR, liked={}, logins={})
    with cut_off(channel, tmp_path, lock):
        pass
    assert (tmp_path / ".spotcluster" / "conda-begun").exists()
    done = install(tmp_path, lock, "greetings")
    assert done.returncode == 0, done.stderr
    words = [tmp_path / ".spotcluster" / "env" / "bin" / "python", "-c", "import greetings"]
    subprocess.run(words, check=True)
    assert not list((tmp_path / ".spotcluster").glob("conda-*"))


@installs_as_condas
def test_environment_that_was_half_removed_is_not_taken_for_whole(
    tmp_path: Path, channel: Channel
) -> None:
    lock = conda.lock(asked("greetings, pip", channel.url), MINOR, liked={}, logins={})
    assert install(tmp_path, lock, "greetings").returncode == 0
    rm = tmp_path / "programs" / "rm"
    rm.parent.mkdir()
    rm.write_text(
        '#!/bin/bash\nlast=${!#}\n[ -d "$last/conda-meta" ] || exec /bin/rm "$@"\n'
        '/bin/rm -rf "$last/conda-meta"\nkill -9 $PPID\n'
    )
    rm.chmod(0o755)
    done = install(tmp_path, "", "psutil", drops=True, path=str(rm.parent))
    assert done.returncode == -signal.SIGKILL
    install(tmp_path, "", "psutil", drops=True)  # which no index has here
    root = tmp_path / ".spotcluster"
    assert list(root.glob("env/lib/python3*/site-packages"))
    assert not list(root.glob("env*/lib/python3*/site-packages/greetings.py"))


@installs_as_condas
def test_pip_that_fails_leaves_what_conda_has_brought(tmp_path: Path, channel: Channel) -> None:
    """An environment made anew would have lacked it, and nobody would have said so."""
    lock = conda.lock(asked("greetings, pip", channel.url), MINOR, liked={}, logins={})
    done = install(tmp_path, lock, "no-such-package==1")
    assert done.returncode != 0
    assert "no-such-package" in done.stderr
    env = tmp_path / ".spotcluster" / "env"
    words = [env / "bin" / "python", "-c", "import greetings; print(greetings.WORD)"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "2.0\n"
    assert (env / "conda.lock").read_text() == lock


def test_versions_here_do_not_hold_for_what_conda_has_brought(tmp_path: Path) -> None:
    meta = tmp_path / "conda-meta"
    meta.mkdir()
    files = [
        "lib/python3.12/site-packages/scikit_learn-1.7.2.dist-info/METADATA",
        "lib/python3.12/site-packages/PyYAML-6.0.egg-info",
        "share/numpy-1.0.dist-info/x",
    ]
    (meta / "some-1-0.json").write_text(f'{{"files": {str(files).replace(chr(39), chr(34))}}}')
    program = templates.read("install.sh").partition("not_condas='\n")[2].partition("\n'\n")[0]
    words = f"{sys.executable} -c '{program}' {shlex.quote(str(tmp_path))}"
    given = "numpy==2.4\nscikit-learn==1.8\npyyaml==6.1\nscikit-learn-extra==1\n"
    done = subprocess.run(
        ["bash", "-c", words], input=given, capture_output=True, text=True, check=True
    )
    assert done.stdout == "numpy==2.4\nscikit-learn-extra==1\n"
