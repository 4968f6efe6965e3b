"""Key pairs, private key files, fingerprints."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import shlex
import socket
import stat
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from spotcluster.errors import UsageError

_OPENSSH = re.compile(
    rb"-----BEGIN OPENSSH PRIVATE KEY-----(.+?)-----END OPENSSH PRIVATE KEY-----", re.DOTALL
)
_OPENSSH_MAGIC = b"openssh-key-v1\0"
_BEGIN = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_END = b"-----END OPENSSH PRIVATE KEY-----"
_PUBLIC = re.compile(rb"\s*(ssh-|ecdsa-|sk-|---- ?BEGIN SSH2 PUBLIC|-----BEGIN (\w+ )?PUBLIC KEY)")
_PEM_BEGIN = re.compile(rb"^-----BEGIN [A-Z ]*PRIVATE KEY-----\s*$", re.MULTILINE)
_AGENT_TIMEOUT = 10.0


@dataclass(frozen=True)
class KeyPair:
    """A new key pair.

    Attributes
    ----------
    private : str
        The private key, unencrypted, as OpenSSH writes it; never shown by ``repr``.
    public : str
        The public key's line: ``"ssh-ed25519 AAAA... comment"``.
    """

    private: str = field(repr=False)
    public: str


class _NeedsPassphrase(Exception):
    """The private key is encrypted."""


def generate(comment: str = "spotcluster") -> KeyPair:
    """Make a new ed25519 key pair."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    return KeyPair(private.decode(), f"{_public_line(key.public_key())} {comment}".strip())


def load_private(path: Path) -> Any:
    """Load the private key that a connection offers.

    Parameters
    ----------
    path : Path
        Its file. When it has a passphrase, the key is taken from the running ssh-agent.

    Returns
    -------
    object
        What `connect` signs with.

    Raises
    ------
    UsageError
        The file is missing, unreadable, open to others, not a private key, or needs a passphrase
        that no agent knows.
    """
    data = _read(path)
    try:
        key = _load(path, data)
    except _NeedsPassphrase:
        return _from_agent(path, data)
    try:
        # From PKCS#8, which OpenSSH reads, paramiko makes no key by itself.
        if isinstance(key, RSAPrivateKey):
            return paramiko.RSAKey(key=key)
        return paramiko.PKey.from_path(path)
    except (paramiko.SSHException, paramiko.pkey.UnknownKeyType, ValueError) as error:
        raise _not_a_key(path, data) from error


def public_of(path: Path) -> str:
    """Return the public key's line of the private key in `path`, without a comment.

    Raises
    ------
    UsageError
        As `load_private`, except that a passphrase is no obstacle where the file itself, or the
        ``.pub`` file beside it, tells the public key.
    """
    data = _read(path)
    try:
        return _public_line(_load(path, data).public_key())
    except _NeedsPassphrase:
        return _public_half(path, data)


def fingerprint(public: str) -> str:
    """Return the fingerprint of a public key's line as OpenSSH shows it: ``"SHA256:..."``."""
    digest = hashlib.sha256(parse_public(public)[1]).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def parse_public(line: str) -> tuple[str, bytes]:
    """Return the kind and the raw bytes of a public key's line.

    Raises
    ------
    UsageError
        It is not a public key's line.
    """
    words = line.split()
    if len(words) >= 2:
        try:
            blob = base64.b64decode(words[1], validate=True)
            kind, _ = _string(blob)
        except (binascii.Error, ValueError):
            pass
        else:
            if kind.decode(errors="replace") == words[0]:
                return words[0], blob
    raise UsageError(
        f"'{line.strip()[:60]}' is not a public key.",
        'It should read like "ssh-ed25519 AAAA... comment".',
    )


def _read(path: Path) -> bytes:
    """Return the content of a private key file that only its owner can read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"{path} is a folder, not a private key.", "Name the file in it.")
        if not stat.S_ISREG(mode):  # a pipe would be waited for
            raise UsageError(f"{path} is not a file.", "Name the private key's file.")
        data = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"There is no private key at {path}.",
            "Correct the path, or make a key with `spotcluster createkey NAME -o FILE`.",
        ) from None
    except OSError as error:
        raise UsageError(
            f"The private key {path} cannot be read: {error.strerror or error}.",
            f"`ls -l {shlex.quote(str(path))}` shows whose it is.",
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and not _is_public(data):
        raise UsageError(
            f"The private key {path} can be read by others than you"
            f" (its mode is {stat.S_IMODE(mode):04o}).",
            f"Make it yours alone with `chmod 600 {shlex.quote(str(path))}`.",
        )
    return data


def _load(path: Path, data: bytes) -> Any:
    """Return the key as `cryptography` has it."""
    _check_form(path, data)
    for load in (serialization.load_ssh_private_key, serialization.load_pem_private_key):
        try:
            return load(data, password=None)
        except TypeError as error:  # cryptography's word for "there is a passphrase"
            raise _NeedsPassphrase from error
        except (ValueError, UnsupportedAlgorithm):
            continue
    raise _not_a_key(path, data)


def _check_form(path: Path, data: bytes) -> None:
    """Refuse what paramiko reads and the system's ssh does not: the lines around a key.

    A copy by way of Windows, an e-mail or a web page has other line ends, or none at the end.
    """
    named = shlex.quote(str(path))
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(
            f"The private key {path} is UTF-16 text, as PowerShell writes it; ssh cannot read it.",
            "Copy the key's file itself, or save it as plain text.",
        )
    if b"\r" in data and (_BEGIN in data or b"\r" in data.replace(b"\r\n", b"\n")):
        raise UsageError(
            f"The private key {path} has the line ends of Windows (CRLF), with which ssh cannot"
            " read it.",
            f"Write them anew: `perl -pi -e 's/\\r\\n?/\\n/g' {named}`.",
        )
    first = data.startswith(_BEGIN + b"\n") if _BEGIN in data else _PEM_BEGIN.search(data)
    if b"PRIVATE KEY-----" in data and not first:
        raise UsageError(
            f"The private key {path} does not begin with a line of its own that says BEGIN, so"
            " that ssh cannot read it.",
            "Remove what stands before that line, or after it in the same line.",
        )
    if _END in data and _END + b"\n" not in data:
        raise UsageError(
            f"The private key {path} has no line end after its last line, so that ssh cannot"
            " read it.",
            f"Add it with `echo >> {named}`.",
        )


def _is_public(data: bytes) -> bool:
    return bool(_PUBLIC.match(data))


def _not_a_key(path: Path, data: bytes) -> UsageError:
    if _is_public(data):
        return UsageError(
            f"{path} is a public key; the private one is needed.",
            f"It is mostly the file of the same name without .pub: {path.with_suffix('')}."
            if path.suffix == ".pub"
            else "Name the private key's file.",
        )
    if data.startswith(b"PuTTY-User-Key-File"):
        return UsageError(
            f"{path} is a PuTTY key, which OpenSSH cannot read.",
            f"Convert it with `puttygen {shlex.quote(str(path))} -O private-openssh -o FILE`.",
        )
    return UsageError(
        f"{path} is not a private key of a kind that SSH uses now (ed25519, ECDSA, RSA), or"
        " it is damaged.",
        "Name another file, or make a key with `spotcluster createkey NAME -o FILE`.",
    )


def _from_agent(path: Path, data: bytes) -> Any:
    """Return the encrypted key of `path` as the running ssh-agent holds it."""
    add = f"Start an ssh-agent and add the key with `ssh-add {shlex.quote(str(path))}`."
    if not os.environ.get("SSH_AUTH_SOCK"):
        raise UsageError(
            f"The private key {path} has a passphrase and no ssh-agent is running.", add
        )
    wanted = parse_public(_public_half(path, data))[1]
    try:
        _greet_agent(os.environ["SSH_AUTH_SOCK"])
        held = paramiko.Agent().get_keys()
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise UsageError(
            f"The private key {path} has a passphrase and no ssh-agent answers at"
            f" {os.environ['SSH_AUTH_SOCK']}: {getattr(error, 'strerror', None) or error}.",
            add,
        ) from error
    for key in held:
        if key.asbytes() == wanted:
            return key
    raise UsageError(
        f"The private key {path} has a passphrase and the ssh-agent does not hold it.",
        f"Add it with `ssh-add {shlex.quote(str(path))}`.",
    )


def _greet_agent(address: str) -> None:
    """Ask the agent for its keys, within a limit: paramiko has none, and calls nobody's keys none.

    Raises
    ------
    OSError, EOFError
        Nobody listens there, or answers.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.settimeout(_AGENT_TIMEOUT)
        agent.connect(address)
        agent.sendall(struct.pack(">IB", 1, 11))  # SSH_AGENTC_REQUEST_IDENTITIES
        if not agent.recv(1):
            raise EOFError("it hung up")


def _public_half(path: Path, data: bytes) -> str:
    """Return the public key of an encrypted private key: from its own head, or from ``.pub``."""
    found = _OPENSSH.search(data)
    if found:
        try:
            return _openssh_public(base64.b64decode(found[1]))
        except (binascii.Error, ValueError):
            raise _not_a_key(path, data) from None
    beside = path.with_name(path.name + ".pub")
    try:
        line = beside.read_text()
    except OSError:
        raise UsageError(
            f"The private key {path} has a passphrase and there is no {beside.name} beside it.",
            f"Write it with `ssh-keygen -y -f {shlex.quote(str(path))}"
            f" > {shlex.quote(str(beside))}`.",
        ) from None
    parse_public(line)
    return bare(line)


def bare(line: str) -> str:
    """Return a public key's line without its comment: the kind and the key."""
    return " ".join(line.split()[:2])


def _openssh_public(raw: bytes) -> str:
    """Return the public key in the head of OpenSSH's format, which is never encrypted.

    PROTOCOL.key of OpenSSH: magic, cipher, kdf, kdf options, number of keys, public keys, secrets.
    """
    if not raw.startswith(_OPENSSH_MAGIC):
        raise ValueError("no OpenSSH key")
    rest = raw[len(_OPENSSH_MAGIC) :]
    for _ in ("cipher", "kdf", "kdf options"):
        _, rest = _string(rest)
    blob, _ = _string(rest[4:])
    kind, _ = _string(blob)
    return f"{kind.decode()} {base64.b64encode(blob).decode()}"


def _string(data: bytes) -> tuple[bytes, bytes]:
    """Split the first string of SSH's wire format off."""
    if len(data) < 4:
        raise ValueError("cut off")
    (length,) = struct.unpack(">I", data[:4])
    if len(data) < 4 + length:
        raise ValueError("cut off")
    return data[4 : 4 + length], data[4 + length :]


def _public_line(key: Any) -> str:
    raw: bytes = key.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return raw.decode()
