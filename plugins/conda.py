"""What an environment.yml asks conda for, and the lock that it comes to.

This computer reads the channels and solves, before anything is made: what there is not, or does not
go together, is said then. All nodes install what the lock names, by addresses and hashes, whatever
the channels have by then. Rattler, the library below pixi, does the work, in processes of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

RATTLER = "py-rattler>=0.28,<0.29"
"""What reads channels here, and installs on nodes; each minor version has another interface."""

_NO_BUILDS = (
    "a build is for one platform, so leave it out (`conda env export --from-history` writes none)"
)
_LIMIT = 300.0  # seconds: the first time, the index of a large channel is downloaded
_BY_NAME = "https://conda.anaconda.org"
_DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
_USUAL = "conda-forge"
_MICROS = 40  # of a minor version of Python's, at most
_NODES = ("linux-64", "linux-aarch64")  # the first one where a file says nothing of it
# What nodes are taken to have: Amazon Linux 2023, Debian 12 and Ubuntu 22.04 have newer ones.
_GLIBC, _LINUX, _MACOS = "2.28", "5.10", "13.0"
_SYSTEMS = {
    "linux-64": (("__unix", "0", "0"), ("__archspec", "1", "x86_64")),
    "linux-aarch64": (("__unix", "0", "0"), ("__archspec", "1", "aarch64")),
    "osx-64": (("__unix", "0", "0"), ("__archspec", "1", "x86_64")),
    "osx-arm64": (("__unix", "0", "0"), ("__archspec", "1", "arm64")),
}
# What uv has too; `conda-forge::python` is none that any other channel would have otherwise.
_UVS = re.compile(r"(?:\S+::)?(?P<name>python|pip)(?![\w.-]) *(?P<wanted>.*)", re.IGNORECASE)
_LOGIN = re.compile(r"//[^/\s]*@|/t/[^/\s]+")


@dataclass(frozen=True)
class Asked:
    """What a file asks for.

    Attributes
    ----------
    path : str
        The file, for messages.
    specs : tuple of str
        Packages, as conda takes them; none where pip brings all that there is.
    channels : tuple of str
        URLs, the first one first.
    platforms : tuple of str
        Those for which there must be an answer; none for the usual ones.
    pip : str
        The lines for pip.
    python : str
        The Python minor version; empty where the file does not name one.
    """

    path: str
    specs: tuple[str, ...]
    channels: tuple[str, ...]
    platforms: tuple[str, ...]
    pip: str
    python: str

    @property
    def private(self) -> tuple[str, ...]:
        """The channels that may want a login: those that are not public by their names."""
        public = (f"{_BY_NAME}/", *(f"{one}/" for one in _DEFAULTS))
        return tuple(one for one in self.channels if not f"{one}/".startswith(public))


def read(text: str, path: str) -> Asked:
    """Return what the text of an environment file asks for.

    Raises
    ------
    ValueError
        It is none, or asks for what nodes cannot have.
    """
    said = _yaml(text, path)
    specs, lines, python = [], "", ""
    for one in said["dependencies"]:
        if isinstance(one, dict) and list(one) == ["pip"]:
            lines += "".join(f"{line}\n" for line in _strings(one["pip"], "lines for pip", path))
            continue
        if not isinstance(one, str) or not one.strip() or "\n" in one.strip():
            shown = "an empty one" if one is None or one == "" else _short(one)
            hint = "; write NAME=VERSION" if isinstance(one, dict) else ""
            raise ValueError(
                f"'{path}': {shown} of its dependencies is nothing that conda takes{hint}"
            )
        _refuse_login(one, path)
        if re.match(r"\.{0,2}/|file:|[\w.-]+\.(conda|tar\.bz2)$", one):
            raise ValueError(f"'{path}': '{one}' is a file, which nodes do not have")
        specs.append(one.strip())
        found = _UVS.fullmatch(specs[-1])
        if found and found["name"].lower() == "python":
            python = _python(found["wanted"], path) or python
    if all(map(_UVS.fullmatch, specs)):
        specs = []  # uv has both
    elif said.get("variables"):
        raise ValueError(f"'{path}': nodes are not given its variables; set them in your code")
    return Asked(
        path=path,
        specs=tuple(specs),
        channels=_channels(said.get("channels"), path) if specs else (),
        platforms=_platforms(said.get("platforms"), path),
        pip=lines,
        python=python,
    )


def _yaml(text: str, path: str) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped] # its stubs are a package of their own

    try:
        said = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        place = getattr(error, "problem_mark", None)
        line = f" line {place.line + 1}" if place else ""
        raise ValueError(f"'{path}'{line}: this is not YAML") from None
    if not isinstance(said, dict) or not isinstance(said.get("dependencies"), list):
        raise ValueError(f"'{path}': there is no list of dependencies in it")  # noqa: TRY004 - a user's mistake
    return said


def _strings(given: Any, key: str, path: str) -> list[str]:
    if given is None:
        return []
    if not (isinstance(given, list) and all(isinstance(one, str) and one for one in given)):
        raise ValueError(f"'{path}': its {key} are no list of text: {_short(given)}")
    return given


def _short(given: Any) -> str:
    """Return some of what a file has, for a message of one line."""
    text = _LOGIN.sub("//...", repr(given) if isinstance(given, str) else f"'{given}'")
    return text if len(text) <= 63 else f"{text[:60]}...'"


def _channels(given: Any, path: str) -> tuple[str, ...]:
    named = [one for one in _strings(given, "channels", path) if one != "nodefaults"]
    urls: list[str] = []
    for one in named or [_USUAL]:
        _refuse_login(one, path)
        if one == "defaults":
            urls += _DEFAULTS
        elif re.fullmatch(r"[\w.-]+(/label/[\w.-]+|/[\w.-]+)?", one) and not one.startswith("."):
            urls.append(f"{_BY_NAME}/{one}")
        elif re.fullmatch(r"https?://[^/\s,?#]+(/[^\s,?#]*)?", one):
            urls.append(one.rstrip("/"))
        else:
            raise ValueError(
                f"'{path}': nodes do not have the channel '{one}'; write a name, or a URL that"
                " begins with https:// or http://"
            )
    return tuple(dict.fromkeys(urls))


def _platforms(given: Any, path: str) -> tuple[str, ...]:
    platforms = _strings(given, "platforms", path)
    found = tuple(one for one in platforms if one in _NODES)  # such files are for laptops, too
    if platforms and not found:
        raise ValueError(f"'{path}': its platforms have none of the nodes', {' and '.join(_NODES)}")
    return found


def _refuse_login(text: str, path: str) -> None:
    if _LOGIN.search(text):
        hidden = _LOGIN.sub("//...", text)
        raise ValueError(
            f"'{path}': '{hidden}' holds a name, password or token, which nodes would keep; leave"
            " it out, and say with INDEX_LOGIN where this computer has it"
        )


def _python(wanted: str, path: str) -> str:
    """Return the minor version that conda's `wanted` names; empty where this computer's is one.

    Raises
    ------
    ValueError
        It is none, or several of which this computer's is not one.
    """
    if found := re.fullmatch(r"={0,2} *(\d+\.\d+)[\d.*]*(?:=\S*)?", wanted):  # also with a build
        if not found[1].startswith("3."):
            raise ValueError(f"'{path}': 'python {wanted}' is none of nodes, which have Python 3")
        return found[1]
    own = "{}.{}".format(*sys.version_info)
    try:
        bounds = [
            SpecifierSet(re.sub(r"^={0,2} *(\d+(?:\.\d+)*)(?:\.?\*)?$", r"==\1.*", one.strip()))
            for one in wanted.split("|")
        ]
        # `>=3.11.4` is for some that are 3.11, whichever this computer has.
        fits = any(f"{own}.{micro}" in one for one in bounds for micro in range(_MICROS))
    except InvalidSpecifier:
        fits = False
    if not fits:
        raise ValueError(
            f"'{path}': 'python {wanted}' does not say which minor version nodes get, and {own} of"
            " this computer is none of those; write one, as in python=3.12"
        )
    return ""


def lock(
    asked: Asked,
    python: str,
    *,
    liked: Mapping[str, str],
    logins: Mapping[str, tuple[str, str]],
) -> str:
    """Return the packages that nodes get, as the text of a lock file of pixi's.

    Parameters
    ----------
    python : str
        The Python minor version.
    liked : dict of str
        Versions, by names, that packages get for which the file names none, where channels have
        them and all goes together.
    logins : dict
        Names and passwords, by hosts.

    Raises
    ------
    ValueError
        There is no such package, they do not go together, or a channel cannot be read.
    """
    if importlib.util.find_spec("rattler") is None:
        raise ValueError(
            f"'{asked.path}': {_some(asked.specs)} would come from conda, whose channels this"
            " computer cannot read yet; `pip install 'spotcluster[conda]'` here brings what does"
        )
    return _solved(
        json.dumps(
            {
                "channels": asked.channels,
                "specs": asked.specs,
                "python": python,
                "liked": dict(liked),
                "platforms": [
                    {"name": name, "needed": needed, "has": _has(name)}
                    for name, needed in _wanted(asked.platforms).items()
                ],
                "logins": {host: list(one) for host, one in logins.items()},
                "asker": os.getpid(),
            }
        ),
        asked,
    )


def asking(asked: Asked) -> str:
    """Return what the user is told while `lock` waits."""
    return (
        f"asking {_shown(asked.channels)} for the packages of '{asked.path}': minutes the first"
        f" time, {_LIMIT:.0f} s at most"
    )


def _wanted(platforms: Sequence[str]) -> dict[str, bool]:
    """Return all platforms that nodes may have, and whether each must do."""
    # Whoever names none gets what can be had for the other machines of EC2, too.
    wanted = dict.fromkeys(platforms or _NODES[:1], True)
    if not platforms:
        wanted |= dict.fromkeys(_NODES[1:], False)
    if sys.platform == "darwin":  # which the hosts of the local cloud are
        wanted["osx-arm64" if os.uname().machine == "arm64" else "osx-64"] = False
    return wanted


def _has(platform: str) -> list[tuple[str, str, str]]:
    """Return conda's virtual packages of a platform: what its machines have."""
    found = list(_SYSTEMS[platform])
    if platform.startswith("linux"):
        glibc = os.environ.get("CONDA_OVERRIDE_GLIBC") or _GLIBC
        found += [("__linux", _LINUX, "0"), ("__glibc", glibc, "0")]
        if cuda := os.environ.get("CONDA_OVERRIDE_CUDA"):  # as all of conda's tools have it
            found.append(("__cuda", cuda, "0"))
    else:
        found.append(("__osx", _MACOS, "0"))
    return found


def _solved(question: str, asked: Asked) -> str:
    # A process of its own: what the library leaves running must not meet the end of this one.
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "spotcluster.plugins.conda_solve"],
            input=question,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"'{asked.path}': {_shown(asked.channels)} did not give an answer within {_LIMIT:.0f} s"
        ) from None
    try:
        answer: dict[str, str] = json.loads(done.stdout)
    except ValueError:
        why = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise ValueError(f"'{asked.path}': rattler has failed: {why[:300]}") from None
    if "lock" in answer:
        return answer["lock"]
    raise ValueError(f"'{asked.path}': {_why(answer, asked)}".rstrip("."))


def _why(answer: Mapping[str, str], asked: Asked) -> str:
    """Return what is wrong, as one sentence, of what rattler says."""
    text, platform = _one_line(answer["text"]), answer.get("platform", "")
    where = f"for {platform} on {_shown(asked.channels)}"
    if answer["kind"] == "spec":
        return f"'{answer['spec']}' is nothing that conda takes: {text[:200]}"
    if answer["kind"] == "channel":
        if "401" in text or "403" in text:
            return (
                f"a channel lets nobody in without a login ({text[:200]}); say with INDEX_LOGIN"
                " where this computer has it"
            )
        return f"a channel cannot be read: {text[:300]}"
    if found := re.fullmatch(r"No candidates were found for (\S+)( .+?)?\.?", text):
        version = "" if found[2] == " *" else (found[2] or "").strip(" .")
        told = f"there is no {found[1]}{version and ' ' + version} {where}"
        return f"{told}; {_NO_BUILDS}" if " " in version else told
    return f"what it asks for does not go together {where}: {text[:600]}"


def _one_line(text: str) -> str:
    text = text.removeprefix("Cannot solve the request because of: ")
    lines = [re.sub(r"^[\s│├└─]+", "", line) for line in text.splitlines()]
    return " ".join(filter(None, lines))


def _shown(channels: Sequence[str]) -> str:
    return ", ".join(one.removeprefix(f"{_BY_NAME}/") for one in channels)


def _some(specs: Sequence[str]) -> str:
    return ", ".join(specs[:5]) + (f" and {len(specs) - 5} more" if len(specs) > 5 else "")
