"""Key pairs and private key files."""

from __future__ import annotations

import functools
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from spotcluster import ssh
from spotcluster.errors import UsageError
from spotcluster.ssh import keys

from .conftest import Server

needs_openssh = pytest.mark.skipif(
    not all(map(shutil.which, ("ssh-keygen", "ssh-agent", "ssh-add"))), reason="needs OpenSSH"
)


def write(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def locked(path: Path) -> tuple[Path, str]:
    """Write a key with a passphrase; return its path and public line."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "word", "-C", "me", "-f", str(path)], check=True
    )
    return path, path.with_name(path.name + ".pub").read_text()


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run an ssh-agent of this test's own."""
    monkeypatch.setenv("SSH_AUTH_SOCK", os.environ["SPOTCLUSTER_HOME"] + "-agent")
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", os.environ["SSH_AUTH_SOCK"]], stdout=subprocess.PIPE
    )
    assert process.stdout
    process.stdout.readline()  # it says where it listens when it does
    yield
    process.terminate()
    process.wait(10)
    process.stdout.close()


def test_generated_pair_belongs_together(tmp_path: Path) -> None:
    pair = keys.generate()
    kind, _, comment = pair.public.split()
    assert (kind, comment) == ("ssh-ed25519", "spotcluster")
    assert pair.private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    path = write(tmp_path / "key", pair.private)
    assert keys.public_of(path) == " ".join(pair.public.split()[:2])
    assert keys.load_private(path).get_base64() == pair.public.split()[1]


def test_private_key_is_not_shown() -> None:
    assert "PRIVATE" not in repr(keys.generate())


@needs_openssh
def test_fingerprint_is_as_openssh_shows_it(tmp_path: Path) -> None:
    pair = keys.generate()
    path = write(tmp_path / "key.pub", pair.public)
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(path)], capture_output=True, text=True, check=True
    )
    assert keys.fingerprint(pair.public) == shown.stdout.split()[1]


@pytest.mark.parametrize(
    "format_", [serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.OpenSSH]
)
def test_rsa_keys_as_ec2_makes_them(tmp_path: Path, format_: serialization.PrivateFormat) -> None:
    raw = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, format_, serialization.NoEncryption()
    )
    path = write(tmp_path / "key.pem", raw)
    assert keys.public_of(path).startswith("ssh-rsa AAAA")
    assert keys.load_private(path).get_name() == "ssh-rsa"


def test_missing_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no private key at") as caught:
        keys.load_private(tmp_path / "nope")
    assert "createkey" in caught.value.hint


def test_folder_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        keys.load_private(tmp_path)


@pytest.mark.usefixtures("held_to_modes")
def test_unreadable_key(tmp_path: Path) -> None:
    path = write(tmp_path / "key", keys.generate().private, mode=0o000)
    with pytest.raises(UsageError, match="cannot be read: Permission denied"):
        keys.load_private(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_key_open_to_others_is_refused_with_the_command_that_helps(
    tmp_path: Path, mode: int
) -> None:
    path = write(tmp_path / "my key", keys.generate().private, mode)
    for use in (keys.load_private, keys.public_of):
        with pytest.raises(UsageError, match=f"mode is 0{mode:o}") as caught:
            use(path)
        assert f"`chmod 600 '{path}'`" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not a private key"),
        ("hello", "not a private key"),
        (b"\xff\0\xfe", "not a private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "not a"),
        pytest.param(keys.generate().public, "is a public key", id="public key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", "is a PuTTY key"),
    ],
)
def test_what_is_no_private_key(tmp_path: Path, content: str | bytes, said: str) -> None:
    path = write(tmp_path / "key", content)
    for use in (keys.load_private, keys.public_of):
        with pytest.raises(UsageError, match=said):
            use(path)


def test_public_key_file_is_told_even_when_open(tmp_path: Path) -> None:
    path = write(tmp_path / "key.pub", keys.generate().public, mode=0o644)
    with pytest.raises(UsageError, match="is a public key") as caught:
        keys.load_private(path)
    assert caught.value.hint.endswith(f"{tmp_path / 'key'}.")


CHANGED: dict[str, Callable[[bytes], bytes]] = {
    "CRLF": lambda key: key.replace(b"\n", b"\r\n"),
    "CR": lambda key: key.replace(b"\n", b"\r"),
    "no last line end": bytes.rstrip,
    "byte order mark": lambda key: b"\xef\xbb\xbf" + key,
    "UTF-16": lambda key: key.decode().encode("utf-16"),
    "empty first line": lambda key: b"\n" + key,
    "text before": lambda key: b"my key\n" + key,
    "text after": lambda key: key + b"\nmy key\n",
    "indented": lambda key: re.sub(b"(?m)^", b"  ", key),
    "one line": lambda key: key.replace(b"\n", b" "),
    "spaces at line ends": lambda key: key.replace(b"\n", b" \n"),
    "cut off": lambda key: key[: len(key) // 2],
}
"""What copying by way of Windows, an e-mail or a web page makes of a key."""


@functools.cache
def made(form: str) -> bytes:
    """Return a private key of this form, as ssh-keygen writes it."""
    kinds = {"ed25519": (), "ecdsa": ("-t", "ecdsa"), "locked": ("-N", "word")}
    rsa_form = ("-t", "rsa", "-b", "2048", "-m", "PEM" if form == "PKCS#1" else "PKCS8")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key"
        words = ["-q", "-t", "ed25519", "-N", "", *kinds.get(form, rsa_form), "-f", str(path)]
        subprocess.run(["ssh-keygen", *words], check=True)
        return path.read_bytes()


@needs_openssh
@pytest.mark.parametrize("change", CHANGED)
@pytest.mark.parametrize("form", ["ed25519", "ecdsa", "PKCS#1", "PKCS#8", "locked"])
def test_what_ssh_cannot_read_is_no_key_of_ours(tmp_path: Path, form: str, change: str) -> None:
    """With such a key `start` worked, or launched and then failed, and `sshmaster` did not."""
    path = write(tmp_path / "key", CHANGED[change](made(form)))
    asked = subprocess.run(
        ["ssh-keygen", "-y", "-P", "word" if form == "locked" else "", "-f", str(path)],
        capture_output=True,
    )
    if asked.returncode:
        with pytest.raises(UsageError, match=re.escape(str(path))) as refused:
            keys.public_of(path)
        if change in ("CRLF", "no last line end"):
            subprocess.run(refused.value.hint.split("`")[1], shell=True, check=True)
    # Of a PEM with a byte order mark ssh makes a key; we need not.
    if change in ("CRLF", "no last line end") or not (
        asked.returncode or change == "byte order mark"
    ):
        assert keys.public_of(path)


def test_pipe_in_the_place_of_a_key_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key", 0o600)
    with pytest.raises(UsageError, match="is not a file"):
        keys.load_private(tmp_path / "key")


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-rsa AAAAB3", "a b"])
def test_what_is_no_public_key(line: str) -> None:
    with pytest.raises(UsageError, match="not a public key"):
        keys.fingerprint(line)


def test_kind_of_a_public_key_must_be_its_own() -> None:
    with pytest.raises(UsageError, match="not a public key"):
        keys.fingerprint("ssh-rsa " + keys.generate().public.split()[1])


@needs_openssh
def test_public_key_of_a_locked_key_is_known(tmp_path: Path) -> None:
    path, public = locked(tmp_path / "key")
    path.with_name("key.pub").unlink()
    assert keys.public_of(path) == " ".join(public.split()[:2])


@needs_openssh
def test_locked_key_without_an_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    path, _ = locked(tmp_path / "key")
    with pytest.raises(UsageError, match="has a passphrase and no ssh-agent is running") as caught:
        keys.load_private(path)
    assert f"ssh-add {path}" in caught.value.hint


@needs_openssh
def test_locked_key_with_an_agent_that_is_no_more_or_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that nobody serves was called an agent without the key; one that hangs hung us."""
    path, _ = locked(tmp_path / "key")
    address = os.environ["SPOTCLUSTER_HOME"] + "-agent"
    monkeypatch.setenv("SSH_AUTH_SOCK", address)
    with pytest.raises(UsageError, match=r"no ssh-agent answers at .*-agent: No such file"):
        keys.load_private(path)
    monkeypatch.setattr(keys, "_AGENT_TIMEOUT", 0.1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(address)
        silent.listen()
        with pytest.raises(UsageError, match=r"no ssh-agent answers at .*: timed out"):
            keys.load_private(path)


@needs_openssh
def test_locked_key_that_the_agent_does_not_hold(tmp_path: Path, agent: None) -> None:
    path, _ = locked(tmp_path / "key")
    with pytest.raises(UsageError, match="the ssh-agent does not hold it"):
        keys.load_private(path)


@needs_openssh
def test_locked_key_is_used_through_the_agent(server: Server, tmp_path: Path, agent: None) -> None:
    path, public = locked(tmp_path / "key")
    ask = write(tmp_path / "ask", "#!/bin/sh\necho word\n", mode=0o700)
    subprocess.run(
        ["ssh-add", "-q", str(path)],
        env={**os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"},
        check=True,
        stdin=subprocess.DEVNULL,
    )
    server.user_key = replace(server.user_key, public=public)
    with ssh.connect(replace(server.target, key_path=path), timeout=120) as connection:
        assert connection.run("echo in").stdout == "in\n"
