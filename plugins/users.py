"""Several people on one cluster: a login for each, with the person's own key and home."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, field_validator, model_validator

from spotcluster import templates, wording
from spotcluster.errors import UsageError
from spotcluster.plugins.base import Cluster, CommaList, Node, Plugin, WrongSetting
from spotcluster.steps import Step

GROUP, GID = "spotcluster", 2017
"""Who the cluster's people are, by a group of one number everywhere; the cluster user is in it."""

_ALIASES = "/etc/spotcluster/ssh"  # as the master's login has them, see set_up
_FIRST, _NUMBERS = 20_000, 40_000
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_ENTRY = re.compile(r"[,\n]\s*(?=[A-Za-z0-9_.-]+\s*:)")
_OF_IMAGES = frozenset(
    {"root", "ubuntu", "ec2-user", "admin", "debian", "centos", "fedora", "rocky", "nobody"}
)
_TREES = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "root", "run"}
    | {"sbin", "snap", "sys", "usr", "var", "tmp"}
)
_KEY = re.compile(r"(?:ssh-|ecdsa-|sk-)\S+ [A-Za-z0-9+/]{20,}")
_PUBLIC_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/=]+")

Keys = tuple[tuple[str, tuple[str, ...]], ...]


def _entries(value: Any) -> Any:
    """Split ``alice: ..., bob: ...``; what is no text, as it is."""
    if not isinstance(value, str):
        return value
    found: dict[str, list[str]] = {}
    for entry in _ENTRY.split(f"\n{value}"):
        if not entry.strip():
            continue
        name, colon, key = (part.strip() for part in entry.partition(":"))
        if not colon or not key:
            raise ValueError(
                f"'{_shown(entry)}' is no user with a public key, as in alice: ~/keys/alice.pub"
            )
        found.setdefault(name, []).append(" ".join(key.split()))
    return tuple((name, tuple(keys)) for name, keys in found.items())


class CreateUsers(Plugin):
    """Give several people a login of their own on all nodes, and a folder that they share.

    Each has a home, processes and a number of their own, the same on every node, and comes in with
    the private key of the public one that is given here. From the master they reach other nodes.
    None can become root, unless told so; all may run programs as the cluster user (``sudo -u
    ipuser``), whose the engines are. Who is no longer listed is locked out, and their processes are
    ended, when the plugin runs next; their files stay.

    Parameters
    ----------
    users : list
        Names, each with a public key or the file of one: ``alice: ~/keys/alice.pub``. Several keys
        of one user are several lines.
    sudo : list of str
        Those of them who may become root.
    shared : str
        A folder in which all of them write; what is made there belongs to their group.
    """

    lasts: ClassVar[bool] = True

    users: Annotated[Keys, BeforeValidator(_entries)]
    sudo: CommaList = ()
    shared: str = "/srv/shared"

    @field_validator("users")
    @classmethod
    def _are_users(cls, users: Keys) -> Keys:
        numbers: dict[int, str] = {}
        for name, keys in users:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"'{name}' is not a valid Unix user: lower-case letters, digits, '_' and '-'"
                )
            if name in _OF_IMAGES:
                raise ValueError(f"'{name}' is a user of the image, not one of yours")
            other = numbers.setdefault(number(name), name)
            if other != name:
                raise ValueError(
                    f"'{name}' and '{other}' would have the same number: call one of them otherwise"
                )
            for key in keys:
                check_key(key, name)
        if not users:
            raise ValueError("names nobody, as in alice: ~/keys/alice.pub")
        return users

    @field_validator("shared")
    @classmethod
    def _is_a_folder(cls, shared: str) -> str:
        path = PurePosixPath(shared)
        if not re.fullmatch(r"/[A-Za-z0-9._/-]+", shared) or ".." in path.parts:
            raise ValueError("is not an absolute path without '..' and blanks, as in /srv/shared")
        if path.parts[1] in _TREES or str(path) in ("/home", "/srv", "/opt", "/mnt", "/media"):
            raise ValueError("is a folder of the system; choose another one, as /srv/shared")
        return str(path)

    @model_validator(mode="after")
    def _knows_who_may_become_root(self) -> CreateUsers:
        names = [name for name, _ in self.users]
        for one in self.sudo:
            if one not in names:
                raise ValueError(f"'{one}' (SUDO) is not among USERS.{wording.hint(one, names)}")
            if PurePosixPath(self.shared) == PurePosixPath("/home", one):
                raise ValueError(f"'{self.shared}' (SHARED) is the home of {one}")
        return self

    @classmethod
    def settled(cls, settings: Mapping[str, str], folder: Path) -> dict[str, str]:
        """Put public keys in the place of their files."""
        if "users" not in settings:
            return dict(settings)
        lines = []
        try:
            for name, given in _entries(settings["users"]):
                for one in given:
                    _refuse_other_kinds(one, name)
                    keys = [one] if _is_key(one) else _keys_in(folder / Path(one).expanduser())
                    lines += [f"{name}: {' '.join(key.split()[:2])}" for key in keys]
        except ValueError as error:
            raise WrongSetting("users", f"{error}.") from error
        return {**settings, "users": "\n".join(lines)}

    def check(self, user: str) -> None:
        """Refuse the cluster user as one of them."""
        if user in dict(self.users):
            raise UsageError(
                f"USERS: '{user}' is the cluster user, as whom the engines run.",
                "Call that person otherwise.",
            )

    def setup(self, cluster: Cluster, node: Node) -> None:
        """Make them on the node, and lock out who is no longer one of them."""
        if not node.facts.sudo:
            if node.is_master:
                named = wording.some([name for name, _ in self.users])
                cluster.note(f"without sudo nodes do not get the users {named}")
            return
        keys = {name: list(own) for name, own in self.users}
        if not node.is_master:
            # By which they come from the master; each can write only there what is their own.
            for name, key in _keys_on_master(cluster, node, list(keys)).items():
                keys[name].append(key)
        steps = [self._making(node)]
        for name, own in keys.items():
            folders = templates.script(
                "account.sh",
                master=node.is_master,
                aliases=_ALIASES,
                keys="",
                own=True,
                programs="",
            )
            script = templates.script("user_keys.sh", keys="\n".join(own))
            steps.append(Step(folders, f"preparing the folders of {name}", user=name))
            steps.append(Step(script, f"letting {name} in", user=name))
        said = node.run_each(steps)[0]
        for gone in re.findall(r"^locked out (\S+)$", said, re.MULTILINE):
            cluster.note(f"{node.alias}: {gone} is locked out; /home/{gone} is as it was")

    def restart(self, cluster: Cluster, node: Node) -> None:
        """Make them again: others may be listed by now."""
        self.setup(cluster, node)

    def _making(self, node: Node) -> Step:
        names = [name for name, _ in self.users]
        script = templates.script(
            "users.sh",
            names=names,
            numbers=[number(name) for name in names],
            roots=self.sudo,
            account=node.account.name,
            group=GROUP,
            gid=GID,
            shared=self.shared,
        )
        return Step(script, "making the users", timeout=120, user="root")


def number(name: str) -> int:
    """Return the number of a user: by the name alone, so that it is the same anywhere."""
    return _FIRST + zlib.crc32(name.encode()) % _NUMBERS


def check_key(line: str, name: str) -> None:
    """Refuse what is no public key; a private one by its name, and without showing it.

    Raises
    ------
    ValueError
        It is none.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    _refuse_other_kinds(line, name)
    if not _is_key(line):
        raise ValueError(f"'{name}' has '{_shown(line)}', which is not a public key's line")
    try:
        load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        why = str(error).rstrip(".")
        raise ValueError(f"'{name}' has '{_shown(line)}', which is no public key: {why}") from None


def _refuse_other_kinds(text: str, name: str) -> None:
    """Refuse what is a key, but none that is taken here."""
    if "PRIVATE KEY" in text:
        raise ValueError(f"'{name}' has a private key here; the public one is in its .pub file")
    if _KEY.search(text) and not _KEY.match(text):
        raise ValueError(f"'{name}' has a key with options ('{_shown(text)}'); give the key alone")


def _is_key(text: str) -> bool:
    return bool(_KEY.match(text))


def _keys_in(path: Path) -> list[str]:
    """Return the public keys of a file."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"'{path}' does not exist") from None
    except UnicodeDecodeError:
        raise ValueError(f"'{path}' is not UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"'{path}' cannot be read: {error.strerror}") from None
    if "PRIVATE KEY" in text or text.startswith("PuTTY-User-Key-File"):
        raise ValueError(f"'{path}' is a private key; the public one is mostly {path.name}.pub")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found or not all(map(_is_key, found)):
        raise ValueError(f"'{path}' is not a public key, which begins as ssh-ed25519 AAAA does")
    return found


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return f"{line[:40]}..." if len(line) > 43 else line


def _keys_on_master(cluster: Cluster, node: Node, names: Sequence[str]) -> dict[str, str]:
    """Return the public keys that they have on the master, read once for many nodes."""
    master = cluster.master
    # The file is that user's too, who may have taken it away, or put there what never ends.
    shows = "timeout 10 head -c 1000 ~/.ssh/id_ed25519.pub 2>/dev/null || true"

    def read(_: Sequence[Node]) -> list[str]:
        return master.run_each(
            [Step(shows, f"asking for the key of {name}", user=name) for name in names]
        )

    said = cluster.together(("users", master, tuple(names)), node, read)
    found = zip(names, said, strict=True)
    # What is in that file is the user's to choose; only a key without options goes any further.
    return {
        name: match[0] for name, text in found if (match := _PUBLIC_KEY.match(text)) is not None
    }
