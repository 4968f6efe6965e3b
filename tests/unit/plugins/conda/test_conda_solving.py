"""What a file asks conda for is solved, here and once."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conda_asked import PLATFORMS, asked, locked, refusal
from conda_channels import MINOR, PLATFORM, Channel

from spotcluster.plugins import conda

OTHER = "linux-aarch64" if PLATFORM != "linux-aarch64" else "linux-64"
ROOT = Path(__file__).parents[4]


def test_lock_has_the_newest_that_goes_together(channel: Channel) -> None:
    assert locked(asked("greetings", channel.url)) == ["greetings-2.0"]
    assert locked(asked("greetings, careful", channel.url)) == ["careful-1.0", "greetings-1.5"]
    assert locked(asked("greetings=1.0", channel.url)) == ["greetings-1.0"]


def test_versions_of_this_computer_are_liked_where_they_can_be_had(channel: Channel) -> None:
    both = asked("greetings", channel.url)
    assert locked(both, greetings="1.0") == ["greetings-1.0"]
    assert locked(both, greetings="1.7") == ["greetings-2.0"]
    assert locked(asked("greetings>=2", channel.url), greetings="1.0") == ["greetings-2.0"]
    careful = asked("greetings, careful", channel.url)
    assert locked(careful, greetings="2.0") == ["careful-1.0", "greetings-1.5"]
    assert locked(asked("careful", channel.url), greetings="1.0") == [
        "careful-1.0",
        "greetings-1.0",
    ]


def test_platform_that_nobody_has_named_is_had_where_it_can_be() -> None:
    wanted = conda._wanted(())
    assert [name for name, needed in wanted.items() if needed] == ["linux-64"]
    assert "linux-aarch64" in wanted


def test_nodes_have_cuda_where_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONDA_OVERRIDE_CUDA", raising=False)
    assert "__cuda" not in {name for name, _, _ in conda._has("linux-64")}
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "12.4")
    assert ("__cuda", "12.4", "0") in conda._has("linux-64")


def test_what_there_is_not_is_said(channel: Channel) -> None:
    where = f"for {PLATFORM} on {channel.url}"
    assert refusal(asked("gretings", channel.url)) == f"there is no gretings {where}"
    assert refusal(asked("greetings=7", channel.url)) == f"there is no greetings 7.* {where}"
    told = refusal(asked("greetings=1.0=py311h64a7726_0", channel.url))
    assert told.startswith(
        f"there is no greetings ==1.0 py311h64a7726_0 {where}; a build is for one"
    )
    assert refusal(asked("greetings", channel.url), "3.99") == f"there is no python 3.99.* {where}"
    told = refusal(asked("greetings", channel.url, more=f"platforms: [win-64, {OTHER}]\n"))
    assert told == f"there is no python {MINOR}.* for {OTHER} on {channel.url}"
    told = refusal(asked("greetings>=2, careful", channel.url))
    assert told.startswith(f"what it asks for does not go together {where}: ")
    assert "careful 1.0 would require greetings <2" in told
    assert "\n" not in told
    assert refusal(asked("'greetings>'", channel.url)).startswith("'greetings>' is nothing that")


def test_channel_that_cannot_be_read_is_named(channel: Channel) -> None:
    url = channel.url.replace("/ours", "/others")
    assert f"channel '{url}/'" in refusal(asked("greetings", url))
    told = refusal(asked("greetings", "http://127.0.0.1:1/x"))
    assert told.startswith("a channel cannot be read: ")
    assert "http://127.0.0.1:1/x" in told


def test_without_the_library_it_is_said_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    lacking = lambda name, *more: None if name == "rattler" else there(name, *more)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", lacking)
    told = refusal(asked("mkl=2024, 'conda-forge::xgboost'"))
    assert told.startswith("mkl=2024, conda-forge::xgboost would come from conda")
    assert "pip install 'spotcluster[conda]'" in told


def test_the_extra_is_what_nodes_get() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert extras["conda"] == [conda.RATTLER]


def test_solving_ends_with_the_command_that_was_killed(channel: Channel) -> None:
    """Of a channel that does not answer it would have waited on, for nobody."""
    channel.requests.clear()
    channel.held = ".zst"  # an index
    channel.released.clear()
    program = (
        "import sys; from spotcluster.plugins import conda;"
        "asked = conda.read(sys.argv[1], 'e.yml');"
        "conda.lock(asked, sys.argv[2], liked={}, logins={})"
    )
    text = f"channels: [{channel.url}]\ndependencies: [greetings]\n{PLATFORMS}"
    process = subprocess.Popen([sys.executable, "-c", program, text, MINOR])
    try:
        wait_until(lambda: any(one.endswith(channel.held) for one in channel.requests))
        (child,) = psutil.Process(process.pid).children()
        process.kill()
        process.wait()
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    finally:
        process.kill()
        process.wait()
        channel.held = ""
        channel.released.set()


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
