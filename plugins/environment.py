"""The Python environment of a node: one, the same Python and the same versions as the laptop's."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from spotcluster import node_layout, templates
from spotcluster.errors import RemoteCommandFailed
from spotcluster.plugins import conda
from spotcluster.plugins.base import Node
from spotcluster.plugins.index import Index
from spotcluster.plugins.requirements import Content, versioned
from spotcluster.steps import Step

BASE = ("ipyparallel", "cloudpickle", "joblib", "psutil", "rich", "pip")
"""What engines need, and searches on the master, whatever else the user asks for."""

_NOTHING, _PUBLIC = Content(), Index()
# Where nodes were let in, for what is installed there a moment later.
_logins: WeakKeyDictionary[Node, Index] = WeakKeyDictionary()

_PIP = f"{node_layout.PYTHON} -m pip --disable-pip-version-check"
_LISTING = "listing the packages"


@dataclass(frozen=True)
class Installed:
    """What is in a node's environment.

    Attributes
    ----------
    versions : dict of str
        The versions of the packages, by their names.
    later : frozenset of str
        Those that somebody has asked pip for, beside what `install` has brought.
    """

    versions: Mapping[str, str]
    later: frozenset[str] = frozenset()

    @classmethod
    def read(cls, printed: str) -> Installed:
        """Read what `listing` has printed."""
        versions, later = {}, set()
        for line in printed.splitlines():
            name, _, version = line.removesuffix(" *").rpartition("-")
            if name:
                versions[name] = version
                if line.endswith(" *"):
                    later.add(name)
        return cls(versions, frozenset(later))


def laptop_python() -> str:
    """Return this computer's Python minor version, ``3.12``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def constraints(free: Sequence[str] = ()) -> str:
    """Return what is installed here as a pip constraints file.

    An object pickled here must load there, so a package that both have has one version. Packages
    that were not installed from an index (editable, from a folder) constrain nothing.

    Parameters
    ----------
    free : sequence of str
        Packages for which the user named a version: these are not constrained.
    """
    lines: dict[str, str] = {}
    for found in importlib.metadata.distributions():
        name, version = _named(found)
        if not name or canonicalize_name(name) in lines:  # of two Python imports the first
            continue
        public = version.split("+", 1)[0]  # a local build (2.1+cpu) is on no index
        constrains = not found.read_text("direct_url.json")
        lines[canonicalize_name(name)] = f"{name}=={public}" if constrains else ""
    for name in free:
        lines.pop(canonicalize_name(name), None)
    return "\n".join(lines[name] for name in sorted(lines) if lines[name])


def _named(found: importlib.metadata.Distribution) -> tuple[str, str]:
    """Return a package's name and version.

    To have all that hundreds of packages say of themselves parsed, as importlib.metadata does,
    took a seventh of what a start takes of a processor.
    """
    said = found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
    about = {"name": "", "version": ""}
    for line in said.splitlines():
        field, _, value = line.partition(":")
        if field.lower() in about:
            about[field.lower()] = value.strip()
        if not line or all(about.values()):  # then comes the description
            break
    return about["name"], about["version"]


def install(
    node: Node,
    packages: Sequence[str] = (),
    content: Content = _NOTHING,
    *,
    python: str | None = None,
    index: Index = _PUBLIC,
    drops_conda: bool = False,
    timeout: float = 900.0,
) -> None:
    """Make the node's environment and install `packages` into it, with uv where it can be had.

    Parameters
    ----------
    content : Content
        What files name, to be installed too.
    drops_conda : bool
        Whether an environment of conda's is to make room for one without.

    Raises
    ------
    RemoteCommandFailed
        The installation failed; carries what it printed.
    """
    _logins[node] = index
    script = _script([*BASE, *packages], packages, content, python, index)
    if drops_conda:
        script = f"drops_conda=1\n{script}"
    steps = [Step(script, "installing packages", timeout, user=node.account.name)]
    if node.facts.sudo:
        venv = templates.read("python_venv.sh")
        steps.insert(0, Step(venv, "installing Python's venv", timeout))
    node.run_each(steps)


def install_apart(
    node: Node,
    home: str,
    packages: Sequence[str],
    *,
    python: str | None = None,
    index: Index = _PUBLIC,
) -> None:
    """Make an environment for a program of the login's: below `home`, which counts as its home.

    Raises
    ------
    RemoteCommandFailed
        The installation failed; carries what it printed.
    """
    there = f'umask 077\nmkdir -p "{home}"\nexport HOME="{home}"\n'
    script = there + _script(packages, (), _NOTHING, python, index)
    node.run_each([Step(script, "installing packages", 900.0)])


def _script(
    packages: Sequence[str],
    named: Sequence[str],
    content: Content,
    python: str | None,
    index: Index,
) -> str:
    free = versioned([*named, *content.plain, *content.hashed, *content.constraints])
    # What comes with hashes is not to be moved by what is installed after it.
    pinned = [*content.constraints, *(one.split(" --hash")[0] for one in content.hashed)]
    return index.private() + templates.script(
        "install.sh",
        python=python or laptop_python(),
        index=index.url,
        extra=index.extra,
        trusted=index.trusted,
        packages=dict.fromkeys([*packages, *content.plain]),
        hashed="\n".join(content.hashed),
        constraints=constraints(free),
        pinned="\n".join(pinned),
        one_pip=templates.read("one_pip.py"),
        list=templates.read("packages.sh"),
        conda=content.conda.rstrip("\n"),
        rattler=conda.RATTLER,
        conda_install=templates.read("conda_install.py") if content.conda else "",
        conda_activated=templates.read("conda_activated.py") if content.conda else "",
    )


def has(node: Node, module: str) -> bool:
    """Say whether the node's environment has the module."""
    try:
        node.run_each([_looking(node, module)])
    except RemoteCommandFailed:
        return False
    return True


def complete(
    node: Node,
    modules: Mapping[str, str],
    *,
    python: str | None = None,
    index: Index | None = None,
) -> None:
    """Install what a node's environment lacks; all that it has stays, in its versions.

    Parameters
    ----------
    modules : dict of str
        The modules that are to be there, and what is installed where one is not.
    python : str, optional
        The Python of an environment that is yet to be made.
    index : Index, optional
        By default that which the environment is from.

    Raises
    ------
    RemoteCommandFailed
        The installation failed; carries what it printed.
    """
    look = shlex.join(["-c", _LACKING, *modules])
    script = f"[ ! -x {node_layout.PYTHON} ] || {node_layout.PYTHON} {look}"
    what = f"looking for {', '.join(modules)}"
    (said,) = node.run_each([Step(script, what, user=node.account.name)])
    if not said.strip():
        lacking, there = list(modules), Content()
        index = index or _logins.get(node, _PUBLIC)
    else:
        found: dict[str, Any] = json.loads(said)
        lacking, there = found["lacking"], Content(constraints=tuple(_kept(found["there"])))
        python = found["python"]  # another one would take the place of all that there is
        index = index or _logins.get(node) or Index(found["index"], tuple(found["extra"].split()))
    if lacking:
        install(node, [modules[one] for one in lacking], there, python=python, index=index)


def _kept(lines: Sequence[str]) -> Iterator[str]:
    """Yield what keeps packages in the versions that they have, but for those that are none."""
    seen = set()
    for line in lines:
        with contextlib.suppress(InvalidRequirement):
            one = Requirement(line)
            if canonicalize_name(one.name) not in seen:  # of two Python imports the first
                seen.add(canonicalize_name(one.name))
                yield str(one)


_LACKING = """
import configparser, importlib.metadata, importlib.util, json, os, sys
given = configparser.ConfigParser(interpolation=None)
given.read(os.path.join(sys.prefix, "pip.conf"))  # which install.sh writes
print(json.dumps({
    "python": "%d.%d" % sys.version_info[:2],
    "index": given.get("global", "index-url", fallback=""),
    "extra": given.get("global", "extra-index-url", fallback=""),
    "lacking": [one for one in sys.argv[1:] if not importlib.util.find_spec(one)],
    "there": ["%s==%s" % (one.metadata["Name"], one.version)
              for one in importlib.metadata.distributions()],
}))
"""


def listing(node: Node) -> Step:
    """Return the step that prints what is in a node's environment; see `Installed.read`."""
    return Step(templates.read("packages.sh"), _LISTING, user=node.account.name)


def installed(node: Node) -> Installed:
    """Return what is in a node's environment."""
    return Installed.read(node.run_each([listing(node)])[0])


def frozen(node: Node) -> list[Requirement]:
    """Return what would bring the same packages elsewhere, in the same versions.

    What a node has from a file or folder of its own cannot be had elsewhere, and is left out.
    """
    said = node.account.run(f"{_PIP} freeze --all", what=_LISTING, timeout=120)
    lines = (line for line in said.splitlines() if line[:1].isalnum())  # not "# ...", "-e ..."
    return [one for one in map(Requirement, lines) if not (one.url or "").startswith("file:")]


def follow(
    node: Node,
    own: Mapping[str, str],
    masters: Mapping[str, str],
    requirements: Callable[[], Sequence[Requirement]],
) -> None:
    """Install on a node what the master has and it lacks, or has in another version.

    That is what somebody has installed with pip since the cluster was started (``%pip``), and what
    an index has in a newer version by now.

    Parameters
    ----------
    own, masters : dict of str
        What the two have: versions by name.
    requirements : callable
        Returns the master's `frozen`; not asked where the two have the same.

    Raises
    ------
    RemoteCommandFailed
        The installation failed; carries what it printed.
    """
    other = {
        canonicalize_name(name) for name, version in masters.items() if own.get(name) != version
    }
    if not other:
        return
    packages = [str(one) for one in requirements() if canonicalize_name(one.name) in other]
    if packages:
        # All that they need is among them, in the versions that go together there.
        install = f"{_PIP} install --quiet --no-deps {shlex.join(packages)}"
        node.account.run(
            _let_in(node) + install, what="installing what the master has", timeout=900
        )


def _let_in(node: Node) -> str:
    """Return what lets a node's pip in where `install` was let in a moment ago."""
    return _logins.get(node, _PUBLIC).private()


def requirements(node: Node, names: Collection[str]) -> list[Requirement]:
    """Return what would bring these packages of a node elsewhere, in the same versions."""
    wanted = {canonicalize_name(name) for name in names}
    return [one for one in frozen(node) if canonicalize_name(one.name) in wanted]


def bring_back(node: Node, lines: Sequence[str]) -> None:
    """Install on a new master what somebody had installed on the former one.

    Raises
    ------
    RemoteCommandFailed
        The installation failed; carries what it printed.
    """
    if lines:
        install = f"{_PIP} install --quiet {shlex.join(lines)}"
        node.account.run(
            _let_in(node) + install, what="installing what the former master had", timeout=900
        )


def run_with(node: Node, module: str, steps: Sequence[Step]) -> list[str]:
    """Run steps on a node, which gets an environment first where that lacks the module."""
    looking = _looking(node, module)
    try:
        return node.run_each([looking, *steps])[1:]
    except RemoteCommandFailed as error:
        if error.what != looking.what:
            raise
    install(node)
    return node.run_each(steps)


def _looking(node: Node, module: str) -> Step:
    # Not imported: that would take as long as all that is done with the answer.
    finding = f"import importlib.util, sys; sys.exit(not importlib.util.find_spec({module!r}))"
    command = f"{node_layout.PYTHON} -c {shlex.quote(finding)}"
    return Step(command, f"looking for {module}", 600, user=node.account.name)
