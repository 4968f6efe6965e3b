"""From a SETUP_CLASS and its settings to a plugin, without running code from where nobody meant it.

A class comes from our own built-in plugins, from ``~/.spotcluster/plugins`` or from the Python
path; by a single word it is what an installed package has under that name, as an entry point of
`ENTRY_POINTS`. The current directory is never searched: it may hold anybody's files.

A setup class of StarCluster's is taken as it is, and becomes a plugin, see `starcluster`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import stat
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spotcluster import files, wording
from spotcluster.errors import SpotclusterError, UsageError
from spotcluster.plugins.base import Plugin, WrongSetting
from spotcluster.plugins.starcluster import adapter, loading, modules, python2
from spotcluster.plugins.starcluster.setups import ClusterSetup

BUILT_IN = (
    "spotcluster.plugins.ipcluster.IPCluster",
    "spotcluster.plugins.ipcluster.IPClusterStop",
    "spotcluster.plugins.ipcluster.IPClusterRestartEngines",
    "spotcluster.plugins.nfs.NFS",
    "spotcluster.plugins.pypackages.PyPkgInstaller",
    "spotcluster.plugins.dask.Dask",
    "spotcluster.plugins.ray.Ray",
    "spotcluster.plugins.packages.PackageInstaller",
    "spotcluster.plugins.users.CreateUsers",
)
ENTRY_POINTS = "spotcluster.plugins"
_OURS = "spotcluster.plugins."
_STARCLUSTER = "starcluster.plugins."
_STARCLUSTER_MODULES = {"pypkginstaller": "pypackages", "pkginstaller": "packages"}
_OTHERS_CAN_WRITE = stat.S_IWGRP | stat.S_IWOTH


class PluginError(UsageError, ValueError):
    """A plugin's class cannot be loaded, or does not take its settings.

    Attributes
    ----------
    reasons : tuple of (str, str)
        What is wrong, one pair each: the setting (``""`` for the class itself) and a sentence.
    """

    def __init__(self, name: str, setup_class: str, reasons: Sequence[tuple[str, str]]) -> None:
        listed = " ".join(f"{key.upper()}: {why}" if key else why for key, why in reasons)
        place = f"[plugin {name}] {setup_class}" if name else setup_class
        super().__init__(f"{place}: {listed}")
        self.reasons = tuple(reasons)


def canonical(setup_class: str) -> str:
    """Return the name under which a class is known here: StarCluster's own become ours."""
    if not setup_class.startswith(_STARCLUSTER):
        return setup_class
    module, _, rest = setup_class.removeprefix(_STARCLUSTER).partition(".")
    ours = f"{_OURS}{_STARCLUSTER_MODULES.get(module, module)}.{rest}"
    return ours if ours in BUILT_IN else setup_class


def load_class(setup_class: str, folder: Path | None = None) -> type[Plugin]:
    """Return the plugin class that ``SETUP_CLASS`` names.

    Parameters
    ----------
    setup_class : str
        ``module.Class``; StarCluster's names of the plugins that we have too are understood.
    folder : Path, optional
        Where the user's modules are, in the place of ``~/.spotcluster/plugins``.

    Raises
    ------
    PluginError
        There is no such class, it is not a plugin, its module fails when it is imported, or
        other users of this computer could have written it.
    """
    wanted = _by_entry_point(setup_class) or canonical(setup_class)
    if wanted.startswith(_STARCLUSTER):
        file, _, rest = wanted.removeprefix(_STARCLUSTER).partition(".")
        raise _refusal(
            setup_class,
            "this plugin of StarCluster has no counterpart here; there are"
            f" {wording.listed(BUILT_IN)}. Or copy StarCluster's {file}.py to"
            f" {files.home() / 'plugins'} and write SETUP_CLASS = {file}.{rest or 'CLASS'}.",
        )
    module_name, _, class_name = wanted.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in wanted.split(".")):
        raise _refusal(
            setup_class,
            "this is not the name of a class, as in 'module.Class', nor one of the plugins of"
            f" installed packages ({wording.listed(sorted(installed())) or 'there are none'}).",
        )
    module = _import(setup_class, module_name, folder)
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        classes = [name for name, value in vars(module).items() if isinstance(value, type)]
        raise _refusal(
            setup_class,
            f"{module_name} has no class '{class_name}'.{wording.hint(class_name, classes)}",
        )
    if issubclass(found, ClusterSetup) and found.__module__ != ClusterSetup.__module__:
        return _adapted(setup_class, found)
    if not issubclass(found, Plugin) or found is Plugin:
        raise _refusal(
            setup_class,
            "this is not a subclass of spotcluster.plugins.base.Plugin, nor of StarCluster's"
            " ClusterSetup.",
        )
    return found


def installed() -> dict[str, str]:
    """Return the plugins of installed packages: ``module.Class`` by the names they are given."""
    found = metadata.entry_points(group=ENTRY_POINTS)
    return {one.name: one.value.replace(":", ".") for one in found}


def _by_entry_point(setup_class: str) -> str | None:
    """Return the class that an installed package has under a name; None where none has."""
    # Not asked for what has a dot: that reads the metadata of all packages.
    return installed().get(setup_class) if setup_class.isidentifier() else None


def _adapted(setup_class: str, found: type[ClusterSetup]) -> type[Plugin]:
    try:
        return adapter.plugin_of(found)
    except SpotclusterError as error:
        raise _refusal(setup_class, str(error)) from error


def make(
    name: str, setup_class: str, settings: Mapping[str, str], folder: Path | None = None
) -> Plugin:
    """Return the plugin that a ``[plugin NAME]`` section describes.

    Raises
    ------
    PluginError
        The class cannot be loaded, or a setting is unknown, missing or has a wrong value.
    """
    try:
        kind = load_class(setup_class, folder)
    except PluginError as error:
        raise PluginError(name, setup_class, error.reasons) from error.__cause__
    try:
        return kind.model_validate(dict(settings))
    except ValidationError as error:
        # Not chained: pydantic's own text shows values, and a value may be a password.
        raise PluginError(
            name, setup_class, wording.explain(error, list(kind.model_fields))
        ) from None
    # What checks the settings is the user's, too.
    except (Exception, SystemExit) as error:
        reason = f"it fails with these settings: {type(error).__name__}: {error}."
        raise PluginError(name, setup_class, [("", reason)]) from error


def settle(
    name: str, setup_class: str, settings: Mapping[str, str], folder: Path
) -> dict[str, str]:
    """Return the settings of a ``[plugin NAME]`` section as a cluster is to remember them.

    Parameters
    ----------
    folder : Path
        Where the config file is that has the section.

    Raises
    ------
    PluginError
        The class cannot be loaded, or a setting names a file that is not there or is wrong.
    """
    with _told_of(name, setup_class):
        return load_class(setup_class).settled(settings, folder)


def resolve(
    name: str,
    setup_class: str,
    settings: Mapping[str, str],
    note: Callable[[str], None],
    former: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return settled settings as a cluster is begun with them; see `Plugin.resolved`.

    Raises
    ------
    PluginError
        The class cannot be loaded, or what was asked for cannot be had.
    """
    with _told_of(name, setup_class):
        return load_class(setup_class).resolved(settings, former or {}, note)


@contextlib.contextmanager
def _told_of(name: str, setup_class: str) -> Iterator[None]:
    """Say of which plugin's settings it is that something is wrong."""
    try:
        yield
    except PluginError as error:
        raise PluginError(name, setup_class, error.reasons) from error.__cause__
    except WrongSetting as error:
        raise PluginError(name, setup_class, [(error.key, str(error))]) from error
    except (Exception, SystemExit) as error:  # the user's, too
        reason = f"it fails with these settings: {type(error).__name__}: {error}."
        raise PluginError(name, setup_class, [("", reason)]) from error


def check(name: str, plugin: Plugin, user: str) -> None:
    """Have a plugin refuse what could not be set up from this computer; see `Plugin.check`.

    Raises
    ------
    UsageError
        It could not.
    """
    try:
        plugin.check(user)
    except UsageError as error:
        raise UsageError(f"[plugin {name}] {error.message}", error.hint) from error
    except SpotclusterError:
        raise
    except (Exception, SystemExit) as error:
        why = f"its check raised {type(error).__name__}: {error}."
        raise PluginError(name, type(plugin).__name__, [("", why)]) from error


def _import(setup_class: str, name: str, folder: Path | None) -> types.ModuleType:
    """Import a module from our plugins, the user's folder, or the Python path, in this order."""
    top = name.partition(".")[0]
    home = folder.resolve() if folder else files.home() / "plugins"
    try:
        if name.startswith(_OURS):
            return importlib.import_module(name)
        importlib.invalidate_caches()  # the file may have been written a moment ago
        if (home / f"{top}.py").exists() or (home / top / "__init__.py").exists():
            if folder is None:  # who names one answers for it
                _refuse_if_others_can_write(setup_class, home)
            with loading.understood():
                return importlib.import_module(f"{_package(home)}.{name}")
        with _without_current_directory(), loading.understood():
            return importlib.import_module(name)
    except PluginError:
        raise
    except ModuleNotFoundError as error:
        missing = (error.name or name).removeprefix(f"{_name_of(home)}.")
        raise _refusal(setup_class, _lacking(setup_class, name, missing, home)) from error
    except python2.Unreadable as error:
        raise _refusal(setup_class, f"its module {name} cannot be read: {error}.") from error
    # A user's module may raise anything, even SystemExit, and none of it is our bug.
    except (Exception, SystemExit) as error:
        reason = f"its module {name} fails when it is imported: {type(error).__name__}: {error}."
        raise _refusal(setup_class, reason) from error


def _lacking(setup_class: str, name: str, missing: str, home: Path) -> str:
    """Say what is to be done about a module that is not there: the plugin's, or one it needs."""
    if not f"{name}.".startswith(f"{missing}."):
        if missing.startswith(f"{modules.NAME}."):
            return f"its module {name} needs '{missing}', which plugins do not get here."
        return f"its module {name} needs the module '{missing}', which is not installed."
    reason = f"there is no module '{missing}' in {home} or on the Python path."
    former = Path("~/.starcluster/plugins").expanduser() / f"{name.partition('.')[0]}.py"
    if former.exists():
        return f"{reason} Copy {former} to {home}."
    return reason + wording.hint(setup_class, BUILT_IN)


def _refuse_if_others_can_write(setup_class: str, home: Path) -> None:
    """Refuse a plugins folder that somebody else could have put code in."""
    for path in (home.parent, home, *sorted(home.rglob("*"))):
        try:
            found = path.stat()
        except OSError:  # a dangling link, or gone: nothing is loaded from it
            continue
        if found.st_mode & _OTHERS_CAN_WRITE:
            reason = f"other users can write {path}; run `chmod -R go-w {home.parent}`."
            raise _refusal(setup_class, reason)
        if found.st_uid not in (os.getuid(), 0):
            raise _refusal(setup_class, f"{path} belongs to another user.")


def _name_of(home: Path) -> str:
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:8]
    return f"_spotcluster_user_plugins_{digest}"


def _package(home: Path) -> str:
    """Return the package that stands for the user's plugins folder.

    Its modules have names of their own there, so that none can shadow one of Python's.
    """
    name = _name_of(home)
    if name not in sys.modules:
        package = types.ModuleType(name)
        package.__path__ = [str(home)]
        sys.modules[name] = package
    return name


@contextlib.contextmanager
def _without_current_directory() -> Iterator[None]:
    """Take the current directory off the Python path for a moment."""
    before = sys.path[:]
    sys.path[:] = [entry for entry in before if not _is_current_directory(entry)]
    try:
        yield
    finally:
        sys.path[:] = before + [entry for entry in sys.path if entry not in before]


def _is_current_directory(entry: Any) -> bool:
    if not isinstance(entry, str):
        return False
    try:
        return not entry or Path(entry).samefile(Path.cwd())
    except (OSError, ValueError):
        return False


def _refusal(setup_class: str, reason: str) -> PluginError:
    return PluginError("", setup_class, [("", reason)])
