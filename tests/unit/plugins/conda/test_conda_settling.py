"""A lock is made once for a cluster, and kept."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conda_asked import PLATFORMS
from conda_channels import LOGIN, MINOR, Channel

from spotcluster.errors import NodeError
from spotcluster.plugins import loader, pypackages
from spotcluster.plugins.loader import PluginError
from spotcluster.plugins.pypackages import PyPkgInstaller
from spotcluster.plugins.requirements import Content

SETUP_CLASS = "spotcluster.plugins.pypackages.PyPkgInstaller"


def settled(folder: Path, channel: Channel, **more: str) -> dict[str, str]:
    (folder / "e.yml").write_text(
        f"channels: [{channel.url}]\ndependencies: [greetings]\n{PLATFORMS}"
    )
    given = loader.settle("p", SETUP_CLASS, {"packages": "e.yml", **more}, folder)
    return loader.resolve("p", SETUP_CLASS, given, lambda _: None)


def test_login_of_a_private_channel_is_looked_for_here(
    tmp_path: Path, private: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PluginError, match="lets nobody in without a login") as caught:
        settled(tmp_path, private)
    assert [key for key, _ in caught.value.reasons] == ["packages"]
    with pytest.raises(PluginError, match="NAME:PASSWORD") as caught:
        settled(tmp_path, private, index_login="env SOME_LOGIN")
    assert [key for key, _ in caught.value.reasons] == ["index_login"]
    monkeypatch.setenv("SOME_LOGIN", ":".join(LOGIN))
    given = settled(tmp_path, private, index_login="env SOME_LOGIN")
    assert given["channels"] == private.url
    assert LOGIN[1] not in str(given)
    made = loader.make("p", SETUP_CLASS, given)
    assert isinstance(made, PyPkgInstaller)
    assert made.index.logins() == {"127.0.0.1": LOGIN}
    monkeypatch.delenv("SOME_LOGIN")
    with pytest.raises(Exception, match="NAME:PASSWORD"):
        made.check("me")


def test_lock_is_that_of_the_start_whatever_the_channel_has_later(
    tmp_path: Path, channel: Channel
) -> None:
    given = settled(tmp_path, channel)
    assert given["python"] == MINOR
    made = loader.make("p", SETUP_CLASS, given)
    assert isinstance(made, PyPkgInstaller)
    pypackages._read_here.cache_clear()  # another process, to which the channel would not answer
    channel.requests.clear()
    node: Any = SimpleNamespace(is_master=False, alias="node001")
    content = made._content(SimpleNamespace(), node)  # type: ignore[arg-type]
    assert "greetings-2.0" in content.conda
    assert channel.requests == []


def test_login_that_no_channel_of_the_file_wants_is_no_mistake(tmp_path: Path) -> None:
    """Of a file that was wrong it said so, too, and a file without conda's packages was refused."""
    (tmp_path / "e.yml").write_text("dependencies: [pip: [numpy]]\n")
    given = {"packages": "e.yml", "index_login": "env NO_SUCH_LOGIN"}
    made = loader.make("p", SETUP_CLASS, loader.settle("p", SETUP_CLASS, given, tmp_path))
    made.check("me")
    with pytest.raises(PluginError, match="and there is none"):
        loader.make("p", SETUP_CLASS, {**given, "packages": "numpy"})


def test_lock_that_another_command_removes_meanwhile_stops_nothing(
    tmp_path: Path, spotcluster_home: Path, channel: Channel
) -> None:
    folder = spotcluster_home / "packages"
    folder.mkdir(mode=0o700, parents=True)
    (folder / "gone.json").symlink_to("nothing")
    given = settled(tmp_path, channel)
    assert (folder / f"{given['digest']}.json").exists()


def test_disk_that_cannot_keep_a_lock_is_told_in_one_sentence(
    tmp_path: Path, spotcluster_home: Path, channel: Channel
) -> None:
    spotcluster_home.mkdir(exist_ok=True)
    (spotcluster_home / "packages").write_text("")
    with pytest.raises(PluginError, match=r"PACKAGES: what comes of it cannot be kept in ") as told:
        settled(tmp_path, channel)
    assert [key for key, _ in told.value.reasons] == ["packages"]


def test_what_conda_had_brought_goes_when_the_file_has_none_of_it(
    tmp_path: Path, channel: Channel
) -> None:
    former = settled(tmp_path, channel)
    for text in ("dependencies: [pip: [numpy]]\n", "dependencies: []\n"):
        (tmp_path / "e.yml").write_text(text)
        given = loader.settle("p", SETUP_CLASS, {"packages": "e.yml"}, tmp_path)
        assert "from_conda" not in loader.resolve("p", SETUP_CLASS, given, lambda _: None)
        notes: list[str] = []
        now = loader.resolve("p", SETUP_CLASS, given, notes.append, former)
        assert now["from_conda"] == "gone"
        assert len(notes) == 1
        assert "until they are restarted" in notes[0]
        again = loader.resolve("p", SETUP_CLASS, given, notes.append, now)
        assert (again, len(notes)) == (now, 1)


def test_file_that_nobody_has_solved_is_not_left_out_in_silence(tmp_path: Path) -> None:
    (tmp_path / "e.yml").write_text("dependencies: [numpy]\n")
    node: Any = SimpleNamespace(is_master=True, alias="master")
    for packages in ("e.yml, numpy", "numpy"):
        given = loader.settle("p", SETUP_CLASS, {"packages": packages}, tmp_path)
        made = loader.make("p", SETUP_CLASS, given)
        assert isinstance(made, PyPkgInstaller)
        if packages == "numpy":
            assert made._content(SimpleNamespace(), node) == Content()  # type: ignore[arg-type]
        else:
            with pytest.raises(NodeError, match=r"e\.yml has was not looked up"):
                made._content(SimpleNamespace(), node)  # type: ignore[arg-type]


def test_content_without_a_lock_kept_its_digest() -> None:
    """Clusters that run go by it."""
    assert Content(("a",)).digest == "fb49cfc60081006e78654b8f90d31d4e"
    whole = Content(("a",), python="3.12", conda="lock")
    assert Content.parse(whole.text) == whole
    assert whole.digest != Content(("a",), python="3.12").digest
