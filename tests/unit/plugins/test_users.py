"""Several people on a cluster: what is refused before anything is made, and what nodes are told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spotcluster import ssh, templates
from spotcluster.errors import UsageError
from spotcluster.plugins import loader, users
from spotcluster.plugins.loader import PluginError
from spotcluster.plugins.users import CreateUsers
from spotcluster.steps import Step

SETUP_CLASS = "spotcluster.plugins.users.CreateUsers"
PAIRS = {name: ssh.keys.generate(f"{name}@laptop") for name in ("alice", "bob")}
ALICE, BOB = (ssh.keys.bare(pair.public) for pair in PAIRS.values())


def plugin_of(folder: Path, text: str, **more: str) -> CreateUsers:
    settled = loader.settle("people", SETUP_CLASS, {"users": text, **more}, folder)
    made = loader.make("people", SETUP_CLASS, settled)
    assert isinstance(made, CreateUsers)
    return made


def refusal(folder: Path, text: str, **more: str) -> str:
    with pytest.raises(PluginError) as caught:
        plugin_of(folder, text, **more)
    return str(caught.value)


def test_keys_are_text_or_files_beside_the_config(tmp_path: Path) -> None:
    (tmp_path / "alice.pub").write_text(f"# mine\n{PAIRS['alice'].public}\n\n{BOB} second\n")
    made = plugin_of(tmp_path, f"alice: alice.pub, bob: {PAIRS['bob'].public},\nalice:{BOB}")
    assert made.users == (("alice", (ALICE, BOB, BOB)), ("bob", (BOB,)))


def test_what_a_cluster_remembers_names_no_file(tmp_path: Path) -> None:
    path = tmp_path / "alice.pub"
    path.write_text(PAIRS["alice"].public)
    settled = loader.settle("people", SETUP_CLASS, {"users": f"alice: {path}"}, tmp_path)
    assert settled == {"users": f"alice: {ALICE}"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "USERS: is missing"),
        ("alice", "'alice' is no user with a public key"),
        ("alice: nothing.pub", "nothing.pub' does not exist."),
        ("Alice: KEY", "'Alice' is not a valid Unix user"),
        ("root: KEY", "'root' is a user of the image, not one of yours"),
        ("alice: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIabcdefgh", "which is no public key"),
        ('alice: command="id" KEY', "has a key with options ('command="),
    ],
)
def test_what_is_no_user_with_a_key_is_refused(tmp_path: Path, text: str, said: str) -> None:
    settings = {"users": text.replace("KEY", ALICE)} if text else {}
    with pytest.raises(PluginError) as caught:
        loader.make("people", SETUP_CLASS, loader.settle("people", SETUP_CLASS, settings, tmp_path))
    assert said in str(caught.value)


@pytest.mark.parametrize("as_file", [True, False])
def test_private_key_is_refused_by_name_and_not_shown(tmp_path: Path, *, as_file: bool) -> None:
    private = PAIRS["alice"].private
    path = tmp_path / "id"
    path.write_text(private)
    told = refusal(tmp_path, f"alice: {path}" if as_file else f"alice: {private}")
    assert f"'{path}' is a private key" in told if as_file else "'alice' has a private key" in told
    secret = private.splitlines()[3]
    assert secret not in told
    with pytest.raises(PluginError) as caught:  # nor where it comes from elsewhere
        loader.make("people", SETUP_CLASS, {"users": f"alice: {private}"})
    assert secret not in str(caught.value)


def test_who_may_become_root_must_be_one_of_them(tmp_path: Path) -> None:
    told = refusal(tmp_path, f"alice: {ALICE}", sudo="alcie")
    assert "'alcie' (SUDO) is not among USERS. Did you mean 'alice'?" in told


@pytest.mark.parametrize(
    "shared", ["shared", "/etc/shared", "/", "/home", "/srv", "/data/../etc", "/da ta", "/srv/"]
)
def test_folder_that_is_the_systems_is_refused(tmp_path: Path, shared: str) -> None:
    assert "SHARED" in refusal(tmp_path, f"alice: {ALICE}", shared=shared)


def test_numbers_depend_on_the_name_alone() -> None:
    numbers = {name: users.number(name) for name in ("alice", "bob", "carol")}
    assert numbers == {"alice": 45735, "bob": 27104, "carol": 24163}


def test_two_names_of_one_number_are_refused(tmp_path: Path) -> None:
    seen: dict[int, str] = {}
    pair = next(
        (seen[users.number(name)], name)
        for name in (f"u{i}" for i in range(2000))
        if seen.setdefault(users.number(name), name) != name
    )
    told = refusal(tmp_path, "\n".join(f"{name}: {ALICE}" for name in pair))
    assert f"'{pair[1]}' and '{pair[0]}' would have the same number" in told


def test_cluster_user_cannot_be_one_of_them(tmp_path: Path) -> None:
    made = plugin_of(tmp_path, f"ipuser: {ALICE}")
    made.check("another")
    with pytest.raises(UsageError, match="'ipuser' is the cluster user"):
        made.check("ipuser")


def test_machine_without_sudo_gets_no_users_and_it_is_said_once(tmp_path: Path) -> None:
    notes: list[str] = []
    cluster: Any = SimpleNamespace(note=notes.append)
    for is_master in (True, False):
        node: Any = SimpleNamespace(is_master=is_master, facts=SimpleNamespace(sudo=False))
        plugin_of(tmp_path, f"alice: {ALICE}").setup(cluster, node)
    assert notes == ["without sudo nodes do not get the users alice"]


def test_key_with_options_on_the_master_goes_no_further(tmp_path: Path) -> None:
    said = {"alice": f'command="id" {ALICE}\n', "bob": f"{BOB} bob@cluster\n"}
    master: Any = SimpleNamespace(run_each=lambda steps: [said[one.user] for one in steps])
    cluster: Any = SimpleNamespace(master=master, together=lambda _, one, do: do([one]))
    assert users._keys_on_master(cluster, master, ["alice", "bob"]) == {"bob": BOB}


@pytest.mark.parametrize("there", ["nothing", "a pipe", "a key"])
def test_a_users_missing_key_on_the_master_kept_every_node_from_joining(
    tmp_path: Path, there: str
) -> None:
    path = tmp_path / ".ssh" / "id_ed25519.pub"
    path.parent.mkdir()
    if there == "a pipe":  # which nobody writes to
        os.mkfifo(path)
    elif there == "a key":
        path.write_text(f"{ALICE} alice@cluster\n")

    def run_each(steps: Sequence[Step]) -> list[str]:
        scripts = [one.script.replace("timeout 10 ", "timeout 0.2 ") for one in steps]
        return [
            subprocess.run(
                ["bash", "-c", f"set -euo pipefail\n{one}"],
                env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
                check=True,
                capture_output=True,
                text=True,
                timeout=30,
            ).stdout
            for one in scripts
        ]

    master: Any = SimpleNamespace(run_each=run_each)
    cluster: Any = SimpleNamespace(master=master, together=lambda _, one, do: do([one]))
    found = users._keys_on_master(cluster, master, ["alice"])
    assert found == ({"alice": ALICE} if there == "a key" else {})


def test_a_user_became_a_member_of_a_group_of_the_images_by_its_name(tmp_path: Path) -> None:
    """As of the name of docker, whose members may do what root may."""
    done = tmp_path / "done"
    programs = {
        "getent": 'case "$*" in "group docker") echo docker:x:999: ;; *) exit 2 ;; esac',
        "groupadd": f"echo groupadd >>{done}",
    }
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / name).chmod(0o755)
    script = templates.script(
        "users.sh",
        names=["docker"],
        numbers=[users.number("docker")],
        roots=[],
        account="ipuser",
        group="nogroupofours",
        gid=users.GID,
        shared="/srv/shared",
    )
    ran = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("The image has a group docker already,")
    assert not done.exists()


def let_in(home: Path, *keys: str) -> list[str]:
    script = templates.script("user_keys.sh", keys="\n".join(keys))
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], env={"HOME": str(home)}, check=True)
    assert [one.name for one in (home / ".ssh").iterdir()] == ["authorized_keys"]
    return (home / ".ssh" / "authorized_keys").read_text().splitlines()


def test_former_keys_are_taken_away_and_the_users_own_stay(tmp_path: Path) -> None:
    path = tmp_path / ".ssh" / "authorized_keys"
    path.parent.mkdir()
    path.write_text(f"{BOB} my other laptop\n")
    first = let_in(tmp_path, f"{ALICE} alice@laptop", BOB)
    assert first == [
        f"{BOB} my other laptop",
        f"{ALICE} spotcluster-users",
        f"{BOB} spotcluster-users",
    ]
    assert let_in(tmp_path, BOB) == [f"{BOB} my other laptop", f"{BOB} spotcluster-users"]
