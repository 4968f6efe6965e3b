"""What a session on a host gets of the laptop's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from spotcluster.local.host.environment import passed_on, session_environment
from spotcluster.local.host.layout import Layout, Settings

LAPTOP = {
    "HOME": "/home/me",
    "PATH": "/home/me/venv/bin:/bin",
    "VIRTUAL_ENV": "/home/me/venv",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "https_proxy": "http://proxy:3128",
    "NO_PROXY": "localhost",
    "SSL_CERT_FILE": "/etc/ca.pem",
    "PIP_INDEX_URL": "https://index/simple",
    "PIP_TARGET": "/home/me/venv",
    "UV_INDEX_URL": "https://index/simple",
    "UV_PYTHON": "/home/me/venv/bin/python",
    "UV_CACHE_DIR": "/home/me/.cache/uv",
}


def test_what_reaches_the_network_is_passed_on_and_nothing_else(tmp_path: Path) -> None:
    assert passed_on(LAPTOP, tmp_path) == {
        name: LAPTOP[name]
        for name in ("https_proxy", "NO_PROXY", "SSL_CERT_FILE", "PIP_INDEX_URL", "UV_INDEX_URL")
    }


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (".config/pip/pip.conf", "PIP_CONFIG_FILE"),
        (".pip/pip.conf", "PIP_CONFIG_FILE"),
        (".config/uv/uv.toml", "UV_CONFIG_FILE"),
    ],
)
def test_the_users_own_settings_of_pip_and_uv_are_passed_on(
    tmp_path: Path, place: str, name: str
) -> None:
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.touch()
    assert passed_on({}, tmp_path) == {name: str(file)}
    assert passed_on({name: "/other"}, tmp_path) == {name: "/other"}


def test_a_session_is_at_home_on_its_host(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "i-0123")
    settings = Settings("i-0123", "127.77.1.1", 2222, (), "/cache/uv")
    found = session_environment(layout, settings, LAPTOP, "ubuntu")
    assert found["HOME"] == str(layout.home)
    assert found["UV_CACHE_DIR"] == "/cache/uv"
    assert found["SPOTCLUSTER_HOST_ID"] == "i-0123"
    assert found["PATH"].split(":")[0] == str(layout.bin)
    assert "/home/me" not in str(found)
    assert "secret" not in str(found)
