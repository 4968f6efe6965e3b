"""Private indexes: where this computer has the login, and that nobody else is told it."""

from __future__ import annotations

import base64
import http.server
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from uv import find_uv_bin

from spotcluster.cluster.secrets import without_secrets
from spotcluster.config import Template
from spotcluster.config.settings import PluginSection
from spotcluster.errors import UsageError
from spotcluster.plugins import index
from spotcluster.plugins.index import Index
from spotcluster.plugins.pypackages import PyPkgInstaller

URL = "https://pypi.example.com/simple/"
OTHER = "https://other.example.com/simple/"


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "netrc"
    path.write_text(
        "machine pypi.example.com login me password pa55\n"
        "machine elsewhere.example.com login me password other\n"
    )
    monkeypatch.setenv("NETRC", str(path))
    return path


def refusal(login: str, *urls: str) -> str:
    with pytest.raises(UsageError) as caught:
        Index(*urls[:1], urls[1:], login).check()
    assert "pa55" not in str(caught.value)
    return str(caught.value)


def test_netrc_gives_the_logins_of_these_hosts_and_of_no_others(netrc: Path) -> None:
    said = Index("", (URL, OTHER), "netrc").private()
    assert "machine pypi.example.com login me password pa55\n" in said
    assert "elsewhere" not in said
    assert "pa55" not in said.splitlines()[0]  # which errors show


def test_without_a_login_nothing_is_sent(netrc: Path) -> None:
    assert Index(URL).private() == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no "),
        ("machine a.example login x password y\n", "has nothing for pypi.example.com."),
        ("machine\n", "cannot be read: line "),
        ('machine pypi.example.com login me password "pa 55"\n', "has blanks, quotes"),
    ],
)
def test_netrc_that_does_not_help_is_refused(netrc: Path, text: str | None, said: str) -> None:
    netrc.unlink()
    if text is not None:
        netrc.write_text(text)
    assert said in refusal("netrc", URL)


def test_variable_of_the_environment_holds_name_and_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYPI_LOGIN", "me:pa55:word")
    said = Index(URL, login="env PYPI_LOGIN").private()
    assert "login me password pa55:word\n" in said
    monkeypatch.setenv("PYPI_LOGIN", "pa55")
    assert "PYPI_LOGIN is not set to NAME:PASSWORD" in refusal("env PYPI_LOGIN", URL)


def test_one_login_goes_to_one_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYPI_LOGIN", "me:pa55")
    assert "which of pypi.example.com, other.example.com it is for" in refusal(
        "env PYPI_LOGIN", URL, OTHER
    )


@pytest.mark.parametrize(("known", "asked"), [(URL, 1), ("pypi.example.com", 2)])
def test_keyring_is_asked_for_the_url_and_then_for_its_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str, asked: int
) -> None:
    program, log = tmp_path / "keyring", tmp_path / "log"
    program.write_text(
        f'#!/bin/sh\necho "$@" >>{log}\n[ "$2" = {known} ] && [ "$3" = me ] && echo pa55\n'
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for _ in range(2):  # asked once, however many nodes there are
        assert "login me password pa55\n" in Index(URL, login="keyring me").private()
    assert len(log.read_text().splitlines()) == asked
    assert "the keyring has no password of you for pypi.example.com." in refusal("keyring you", URL)


def test_computer_without_a_keyring_is_told_what_brings_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no program `keyring` here" in refusal("keyring me", URL)


@pytest.mark.parametrize("login", ["me:pa55", "pa55", "env", "env A B", "keyring", "netrc x"])
def test_password_in_the_place_of_where_it_is_is_refused_and_not_shown(login: str) -> None:
    with pytest.raises(ValidationError) as caught:
        PyPkgInstaller.model_validate({"index_url": URL, "index_login": login})
    (one,) = caught.value.errors()
    assert "'INDEX_LOGIN' says where the login is, not what it is" in one["msg"]
    assert "pa55" not in one["msg"]


def test_login_without_an_index_is_refused() -> None:
    with pytest.raises(ValidationError, match="there is none"):
        PyPkgInstaller.model_validate({"index_login": "netrc"})


def test_where_the_login_is_stays_on_each_computer() -> None:
    section = PluginSection(
        name="p",
        setup_class="spotcluster.plugins.pypackages.PyPkgInstaller",
        settings={"index_url": URL, "index_login": "netrc"},
    )
    given: Any = {"name": "t", "keyname": "k", "node_instance_type": "c5.large"}
    kept = without_secrets(Template(**given, plugins=(section,)))
    assert kept.plugins[0].settings == {"index_url": URL}
    assert kept.plugins[0].withheld == ("index_login",)


# --- on a node ------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """Give an index with one package that wants a login; and what it was told."""
    told: list[str] = []
    wanted = "Basic " + base64.b64encode(b"me:pa55").decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            told.append(self.headers.get("Authorization", ""))
            if told[-1] != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="here"')
                self.end_headers()
                return
            self.send_response(404)
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{made.server_address[1]}/simple/", told
        made.shutdown()


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_installer_is_let_in_by_a_file_that_has_no_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: tuple[str, list[str]],
    installer: str,
) -> None:
    url, told = server
    monkeypatch.setenv("PYPI_LOGIN", "me:pa55")
    command = {
        "uv": f"'{find_uv_bin()}' pip install --no-cache -q --target {tmp_path}/t --default-index",
        "pip": f"'{sys.executable}' -m pip install -q --no-cache-dir --target {tmp_path}/t -i",
    }[installer]
    script = Index(url, login="env PYPI_LOGIN").private() + (
        f"{command} {url} no-such-package || true\n"
        "echo; ls /dev/shm ${TMPDIR:-/tmp} | grep '^spotcluster\\.......$' || true\n"
        "env | grep -c pa55 || true; tr '\\0' ' ' </proc/$$/cmdline | grep -c pa55 || true\n"
    )
    clean = {key: value for key, value in os.environ.items() if key not in ("NETRC", "PYPI_LOGIN")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=script,
        env={**clean, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "Basic " + base64.b64encode(b"me:pa55").decode() in told
    assert "pa55" not in done.stdout + done.stderr
    assert done.stdout.split()[-2:] == ["0", "0"]
    if Path("/proc/self/fd").exists():
        assert "spotcluster." not in done.stdout


def test_urls_are_checked_for_both_kinds() -> None:
    with pytest.raises(ValueError, match="INDEX_LOGIN = 'netrc'"):
        index.check_url("https://me@pypi.example.com/")


def test_the_pip_that_builds_what_pip_installs_had_no_login(netrc: Path, tmp_path: Path) -> None:
    """Python's subprocess closes what it has open for those that it starts."""
    reads = "import os; print(open(os.environ['NETRC']).read())"
    nested = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {reads!r}], check=True)"
    )
    command = shlex.join([sys.executable, "-c", nested])
    script = f"{Index(URL, login='netrc').private()}( {command} )\n"
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=script,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "machine pypi.example.com login me password pa55"
