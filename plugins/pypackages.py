"""Python packages on every node."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from spotcluster import files, node_layout, wording
from spotcluster.errors import NodeError, UsageError
from spotcluster.plugins import conda, environment, index, requirements
from spotcluster.plugins.base import Cluster, CommaList, Node, Plugin, WrongSetting, as_list
from spotcluster.plugins.index import Index
from spotcluster.plugins.requirements import Content

# Whose programs run in the environment.
_RUNNING = tuple(f"spotcluster.plugins.{one}." for one in ("ipcluster", "dask", "ray"))
_OURS = ("channels", "digest", "from_conda")  # settings that are written down by themselves
_KEPT = 50  # locks on this computer
_ANEW = (
    "they get a new environment, and engines that run have the former one, which is gone, until"
    " they are restarted (ipcluster.IPClusterRestartEngines)"
)
_RUN_AGAIN = "`spotcluster runplugin` of this plugin installs what it has now, on all nodes."


def _requirements(value: Any) -> Any:
    """Split at the commas between requirements, and not at those within one."""
    if value is None:
        return []
    if not isinstance(value, str):
        return value
    found: list[str] = []
    for item in as_list(value):
        goes_on = found and (item[0] in "<>=!~" or not _is_whole(found[-1]))
        if goes_on:
            found[-1] += f", {item}"
        else:
            found.append(item)
    return found


def _is_whole(text: str) -> bool:
    """Return whether all brackets and quotes that a text opens are closed."""
    pairs = all(text.count(begin) <= text.count(end) for begin, end in ("[]", "()"))
    return pairs and not (text.count("'") % 2 or text.count('"') % 2)


class Section(Protocol):
    """A ``[plugin NAME]`` section of the config."""

    @property
    def name(self) -> str: ...
    @property
    def setup_class(self) -> str: ...
    @property
    def settings(self) -> Mapping[str, str]: ...


class PyPkgInstaller(Plugin):
    """Install Python packages into one environment per node, ``~/.spotcluster/env``.

    Parameters
    ----------
    packages : list of str
        Requirements as pip takes them: ``scikit-learn, psutil, pandas[excel]>=2,<4``. Those without
        a version get the version that this computer has, if it has one. Also files of them:
        ``-r requirements.txt``, ``-c constraints.txt``, ``uv.lock``, ``environment.yml``, also with
        packages of conda's; and ``@this``: what this computer's Python has.
    python : str, optional
        The Python minor version, ``3.12``; this computer's by default, so that pickles load.
    index_url : str, optional
        A package index to use instead of the public one: ``https://...`` or, for a mirror on a
        network that you trust, ``http://...``.
    extra_index_url : list of str
        Indexes that are looked in before that one.
    channels : list of str
        The private channels of an ``environment.yml``; written down by itself.
    index_login : SecretStr, optional
        Where this computer has the login for them: ``netrc``, ``keyring NAME`` with your name
        there, or ``env VARIABLE``, which is ``NAME:PASSWORD``. No node keeps it.
    digest : str, optional
        What tells the content of the files; written down by itself.
    from_conda : str, optional
        Whether an ``environment.yml`` has ``brought`` packages of conda's, or had, and they are to
        be ``gone``; written down by itself.
    """

    after_master: ClassVar[bool] = False
    lasts: ClassVar[bool] = True

    packages: Annotated[CommaList, BeforeValidator(_requirements)] = ()
    python: Annotated[str, Field(pattern=r"^3\.\d{1,2}$")] | None = None
    index_url: str | None = None
    extra_index_url: CommaList = ()
    channels: CommaList = ()
    index_login: SecretStr | None = None
    digest: str | None = None
    from_conda: Literal["brought", "gone"] | None = None

    @field_validator("packages")
    @classmethod
    def _are_requirements(cls, packages: tuple[str, ...]) -> tuple[str, ...]:
        for package in packages:
            if requirements.is_source(package):
                continue
            try:
                wanted = Requirement(package)
            except InvalidRequirement as error:
                raise ValueError(f"'{package}' is not a requirement that pip takes") from error
            if requirements.has_login(wanted.url or ""):
                raise ValueError(f"'{wanted.name}' has a URL with a name or password in it")
        return packages

    @field_validator("index_url")
    @classmethod
    def _is_url(cls, url: str | None) -> str | None:
        return index.check_url(url) if url else None

    @field_validator("extra_index_url")
    @classmethod
    def _are_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            try:
                index.check_url(url)
            except ValueError as error:
                why = str(error)
                raise ValueError(why if why.startswith("'") else f"'{url}' {why}") from None
        return urls

    @field_validator("index_login")
    @classmethod
    def _is_a_place(cls, login: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if login is None:
            return None
        index.check_login(login.get_secret_value())
        asking = [info.data.get(one) for one in ("index_url", "extra_index_url", "channels")]
        # One that names packages of conda's today may name none tomorrow, or be wrong yet.
        files = [one for one in info.data.get("packages", ()) if one.endswith((".yml", ".yaml"))]
        if not (any(asking) or files):
            raise ValueError(
                "'INDEX_LOGIN' is for INDEX_URL, EXTRA_INDEX_URL or a channel of environment.yml,"
                " and there is none"
            )
        return login

    @classmethod
    def settled(cls, settings: Mapping[str, str], folder: Path) -> dict[str, str]:
        """Give files their whole paths, and what is in them a digest.

        What conda is asked for has none before it is solved.
        """
        return cls._read(settings, folder)[0]

    @classmethod
    def resolved(
        cls, settings: Mapping[str, str], former: Mapping[str, str], note: Callable[[str], None]
    ) -> dict[str, str]:
        """Solve what files ask conda for."""
        given, read, asked = (
            (dict(settings), Content(), None)
            if "digest" in settings
            else cls._read(settings, Path())
        )
        if asked is None:
            if former.get("from_conda") == "brought":
                note(f"nothing is conda's any more: {_ANEW}")
            return {**given, **({"from_conda": "gone"} if former.get("from_conda") else {})}
        if former and former.get("from_conda") != "brought":
            note(f"what the nodes have was not conda's: {_ANEW}")
        note(conda.asking(asked))
        read = dataclasses.replace(read, conda=_locked(asked, given["python"], given))
        try:
            _keep(read)
        except OSError as error:
            why = f"what comes of it cannot be kept in {_kept('').parent}: {error.strerror}."
            raise WrongSetting("packages", why) from error
        return {**given, "digest": read.digest, "from_conda": "brought"}

    @classmethod
    def _read(
        cls, settings: Mapping[str, str], folder: Path
    ) -> tuple[dict[str, str], Content, conda.Asked | None]:
        """Return the settings with what files say, that, and what they ask conda for."""
        given = {key: value for key, value in settings.items() if key not in _OURS}
        items = [requirements.absolute(one, folder) for one in _requirements(given.get("packages"))]
        if not any(map(requirements.is_source, items)):
            return given, Content(), None
        try:
            read, asked = requirements.read(items)
        except ValueError as error:
            raise WrongSetting("packages", f"{error}.") from error
        python = given.get("python") or read.python
        if read.python and read.python != python:
            raise WrongSetting("python", f"'{python}' is not the {read.python} of PACKAGES.")
        if asked:
            python = python or environment.laptop_python()
            if asked.private:
                given["channels"] = ", ".join(asked.private)
        if python:
            given["python"] = python
        given["packages"] = ", ".join(items)
        if asked is None:
            given["digest"] = read.digest
        return given, read, asked

    @property
    def index(self) -> Index:
        """Where the packages come from."""
        login = self.index_login.get_secret_value() if self.index_login else ""
        return Index(self.index_url or "", self.extra_index_url, login, self.channels)

    def check(self, user: str) -> None:  # noqa: ARG002 - the hook's signature
        """Refuse a login for the index that this computer does not have."""
        self.index.check()

    def setup(self, cluster: Cluster, node: Node) -> None:
        """Install the packages; a failure stops this node, with the installer's output."""
        plain = [one for one in self.packages if not requirements.is_source(one)]
        environment.install(
            node,
            plain,
            self._content(cluster, node),
            python=self.python,
            index=self.index,
            drops_conda=self.from_conda == "gone",
        )

    def restart(self, cluster: Cluster, node: Node) -> None:
        """Install again, as nodes made now do: all nodes have the same versions."""
        self.setup(cluster, node)

    def _content(self, cluster: Cluster, node: Node) -> Content:
        """Return what the files had when the cluster was told of them.

        Raises
        ------
        NodeError
            They have been changed since, or are on another computer, and the master has no copy.
        """
        sources = [one for one in self.packages if requirements.is_source(one)]
        named = wording.listed(sources)
        if self.digest is None:
            if sources:  # nobody has read it for this cluster
                raise NodeError(node.alias, f"what {named} has was not looked up.", _RUN_AGAIN)
            return Content()
        copy = f"{node_layout.ROOT}/packages/{self.digest}.json"
        here = _here(self.packages, self.digest)
        if here is not None:
            if node.is_master:
                node.account.put(here.text.encode(), copy)
                if here.left_out:
                    cluster.note(
                        f"not on nodes, as no index has it: {wording.some(here.left_out, 5)}"
                    )
            return here
        master = cluster.master
        try:
            text = cluster.together((copy, master), node, lambda _: master.account.get(copy))
            content = Content.parse(text.decode())
        except (FileNotFoundError, ValueError):
            content = Content()
        if content.digest != self.digest:  # also where somebody has written another one there
            raise NodeError(
                node.alias,
                f"what {named} had when the cluster was told of it, is neither on this computer nor"
                " on the master.",
                _RUN_AGAIN,
            )
        return content


def check_together(sections: Sequence[Section]) -> None:
    """Refuse what undoes another section's environment, which is one for each node.

    Raises
    ------
    UsageError
        Two bring packages of conda's, or one does when there are programs in what it removes.
    """
    runs = ""
    for one in sections:
        if one.setup_class.startswith(_RUNNING):
            runs = runs or one.name
        elif runs and one.settings.get("from_conda") == "brought":
            raise UsageError(
                f"[plugin {one.name}] brings an environment of conda's, and {runs}, which is before"
                " it in PLUGINS, would run in another one.",
                f"Write `PLUGINS = {one.name}, {runs}`; a cluster that is there keeps its order.",
            )
    names = [one.name for one in sections if one.settings.get("from_conda") == "brought"]
    if len(names) > 1:
        raise UsageError(
            f"[plugin {names[0]}] and [plugin {names[1]}] both bring packages of conda's, and a"
            " node has one environment.",
            "Write them into one environment.yml.",
        )


def _here(packages: tuple[str, ...], digest: str) -> Content | None:
    """Return what the files on this computer hold, if that is what is wanted."""
    with contextlib.suppress(ValueError):
        return _read_here(packages, digest)
    return None


@functools.cache  # once for all nodes
def _read_here(packages: tuple[str, ...], digest: str) -> Content:
    path = _kept(digest)
    read = Content.parse(path.read_text()) if path.exists() else requirements.content(packages)
    if read.digest != digest:
        raise ValueError("it is another one")
    return read


def _locked(asked: conda.Asked, python: str, settings: Mapping[str, str]) -> str:
    """Return the lock of what a file asks conda for.

    Raises
    ------
    WrongSetting
        There is none, or this computer lacks the login for a channel.
    """
    login = settings.get("index_login", "")
    try:
        if login:
            index.check_login(login)
        own = Index(
            settings.get("index_url", ""),
            tuple(as_list(settings.get("extra_index_url", ""))),
            login,
            asked.private,
        )
        logins = own.logins()
    except (ValueError, UsageError) as error:
        why = str(error).removeprefix("INDEX_LOGIN: ")
        raise WrongSetting("index_login", why) from error
    pins = (line.partition("==") for line in environment.constraints().splitlines())
    liked = {str(canonicalize_name(name)): version for name, _, version in pins}
    try:
        return conda.lock(asked, python, liked=liked, logins=logins)
    except ValueError as error:
        raise WrongSetting("packages", f"{error}.") from error


def _kept(digest: str) -> Path:
    """Return where this computer has the content with a lock, if it was made here."""
    return files.home() / "packages" / f"{digest}.json"


def _keep(content: Content) -> None:
    """Keep content with a lock, which nobody could make again: channels change by the hour.

    A cluster that was cut off before its master had a copy gets this one.
    """
    files.private_dir("packages")
    path = _kept(content.digest)
    files.write_private(path, content.text)
    kept = {}
    for other in path.parent.glob("*.json"):
        with contextlib.suppress(FileNotFoundError):  # another command has removed it
            kept[other] = other.stat().st_mtime
    for other in sorted(kept, key=kept.__getitem__)[:-_KEPT]:
        other.unlink(missing_ok=True)
