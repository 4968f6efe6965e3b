"""Package indexes: which, and by whose login; what nodes are given of it, and for how long.

The name and the password for an index stay on the computers of those who have them: each says
where it has its own (INDEX_LOGIN). A node gets them in the script that installs, keeps them in a
file that has no name, and has forgotten them when that script ends.
"""

from __future__ import annotations

import functools
import netrc
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from spotcluster import templates, wording
from spotcluster.errors import UsageError

_ASKING = 120.0  # seconds: a keyring may ask its owner
_KINDS = "'netrc', 'keyring NAME' with your name there, or 'env VARIABLE'"
# What all readers of netrc files, those of pip and uv among them, take as it stands.
_PLAIN = re.compile(r"[^\s\"'\\#]+")


@dataclass(frozen=True)
class Index:
    """Where packages come from.

    Attributes
    ----------
    url : str
        The index in the place of the public one; empty for that.
    extra : tuple of str
        Those that are looked in first.
    login : str
        Where this computer has the name and password for them, see `check_login`; empty for none.
    channels : tuple of str
        Channels of conda's that the login may be for, too.
    """

    url: str = ""
    extra: tuple[str, ...] = ()
    login: str = field(default="", repr=False)
    channels: tuple[str, ...] = ()

    @property
    def urls(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(filter(None, [self.url, *self.extra]))

    @property
    def trusted(self) -> list[str]:
        """The hosts without TLS: uv takes them as they are, pip must be told to."""
        parts = [urlsplit(one) for one in self.urls]
        return list(dict.fromkeys(one.netloc for one in parts if one.scheme == "http"))

    def check(self) -> None:
        """Refuse a login that this computer does not have.

        Raises
        ------
        UsageError
            It is not where it is said to be.
        """
        self._netrc()

    def private(self) -> str:
        """Return the beginning of a script whose pip and uv are let in; empty without a login."""
        text = self._netrc()
        return templates.script("netrc.sh", what="logins", netrc=text) if text else ""

    def logins(self) -> dict[str, tuple[str, str]]:
        """Return names and passwords, by the hosts that they are for; none where there is no host.

        Raises
        ------
        UsageError
            They are not where they are said to be.
        """
        if not (self.login and (self.urls or self.channels)):
            return {}
        kind, _, what = self.login.partition(" ")
        find = {"netrc": _from_netrc, "keyring": _from_keyring, "env": _from_environment}[kind]
        return find(what, [*self.urls, *self.channels])

    def _netrc(self) -> str:
        """Return the logins as a netrc file."""
        lines = []
        for host, (name, password) in self.logins().items():
            if not (_PLAIN.fullmatch(name) and _PLAIN.fullmatch(password)):
                raise _refusal(
                    f"the name or password for {host} has blanks, quotes, '#' or '\\' in it, which"
                    " a netrc file cannot hold.",
                    "Make a token for the nodes, which has none of them.",
                )
            lines.append(f"machine {host} login {name} password {password}\n")
        return "".join(lines)


def check_url(url: str) -> str:
    """Return the URL of a package index as it is.

    Raises
    ------
    ValueError
        It is none that pip and uv both take.
    """
    parts = urlsplit(url)
    if any(ord(sign) <= ord(" ") for sign in url) or parts.scheme not in ("http", "https"):
        raise ValueError("must be a URL that begins with https:// or http://, without spaces")
    try:
        host = parts.hostname if parts.port is None or parts.port else None
    except ValueError as error:  # a port that is no number
        raise ValueError("names a port that is not a number between 1 and 65535") from error
    if not host:
        raise ValueError("must name a host, as https://pypi.example.com/simple/ does")
    if "@" in parts.netloc:
        # Begins with a quote, so that the value, which is a secret, is not put before it.
        raise ValueError(
            f"'{parts.scheme}://...@{host}' holds a name or password, and settings of plugins are"
            f" kept in EC2's tags; leave it out and write INDEX_LOGIN = {_KINDS}"
        )
    return url


def check_login(text: str) -> str:
    """Return where a login is, as it is.

    Raises
    ------
    ValueError
        It is none of the places that there are; its text, which may be a password, is not told.
    """
    kind, _, what = text.partition(" ")
    if text != "netrc" and not (
        (kind == "keyring" and _PLAIN.fullmatch(what))
        or (kind == "env" and re.fullmatch(r"[A-Za-z_]\w*", what))
    ):
        raise ValueError(f"'INDEX_LOGIN' says where the login is, not what it is: {_KINDS}")
    return text


def _from_netrc(_: str, urls: Sequence[str]) -> dict[str, tuple[str, str]]:
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    hosts = _hosts(urls)
    try:
        read = netrc.netrc(path)
    except FileNotFoundError:
        raise _refusal(
            f"there is no {path}.", f"Write `machine {hosts[0]} login NAME password TOKEN` into it."
        ) from None
    except netrc.NetrcParseError as error:
        raise _refusal(f"{path} cannot be read: line {error.lineno}: {error.msg}.", "") from None
    except OSError as error:
        raise _refusal(f"{path} cannot be read: {error.strerror}.", "") from None
    found = {host: read.hosts[host] for host in hosts if host in read.hosts}
    if not found:
        raise _refusal(
            f"{path} has nothing for {wording.listed(hosts)}.",
            f"Write `machine {hosts[0]} login NAME password TOKEN` into it.",
        )
    return {host: (name, password or "") for host, (name, _, password) in found.items()}


def _from_keyring(name: str, urls: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Ask the keyring as pip and uv do: for the URL, then for its host."""
    host, url = _only_host(urls)
    program = shutil.which("keyring")
    if program is None:
        raise _refusal("there is no program `keyring` here.", "`pip install keyring` brings it.")
    for service in (url, urlsplit(url).netloc):
        if password := _asked(program, service, name):
            return {host: (name, password)}
    raise _refusal(
        f"the keyring has no password of {name} for {urlsplit(url).netloc}.",
        f"`keyring set {urlsplit(url).netloc} {name}` asks for it.",
    )


@functools.cache  # once for all nodes: it may ask its owner each time
def _asked(program: str, service: str, name: str) -> str:
    try:
        done = subprocess.run(
            [program, "get", service, name],
            capture_output=True,
            text=True,
            timeout=_ASKING,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _refusal(f"`keyring` did not answer within {_ASKING:.0f} s.", "") from None
    return done.stdout.rstrip("\r\n") if done.returncode == 0 else ""


def _from_environment(variable: str, urls: Sequence[str]) -> dict[str, tuple[str, str]]:
    host, _ = _only_host(urls)
    name, colon, password = os.environ.get(variable, "").partition(":")
    if not (name and colon and password):
        raise _refusal(
            f"the environment variable {variable} is not set to NAME:PASSWORD.",
            f"`export {variable}=NAME:TOKEN`, then repeat.",
        )
    return {host: (name, password)}


def _hosts(urls: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(urlsplit(one).hostname or "" for one in urls))


def _only_host(urls: Sequence[str]) -> tuple[str, str]:
    """Return the host that a single login is for, and its first URL.

    Raises
    ------
    UsageError
        There are several, and a password must not go to whom it is not for.
    """
    hosts = _hosts(urls)
    if len(hosts) > 1:
        raise _refusal(
            f"nothing says which of {wording.listed(hosts)} it is for.",
            "Write INDEX_LOGIN = netrc, and the login into ~/.netrc with its host.",
        )
    return hosts[0], urls[0]


def _refusal(why: str, hint: str) -> UsageError:
    return UsageError(f"INDEX_LOGIN: {why}", hint)
