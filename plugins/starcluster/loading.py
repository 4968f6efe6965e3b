"""Importing a StarCluster plugin's modules, which import `starcluster.*`.

Nothing is put into `sys.modules` under that name: a real package of that name, StarCluster's or
anybody's, stays what it is for everybody else, in other threads too. A module's own import
statements call the `__import__` of its builtins, and modules that import `starcluster` get one that
knows ours. It stays with them, as hooks import things too, long after the plugin was loaded.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spotcluster.plugins.starcluster import modules, python2

_IMPORTS = re.compile(rb"^[ \t]*(?:from|import)[ \t]+starcluster\b", re.MULTILINE)

converted: list[str] = []
"""The files that were Python 2, of this process."""


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module that imports `starcluster`."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Keep no bytecode: an ordinary import would take it for that of the file as it is."""

    def source_to_code(  # type: ignore[override]
        self, data: Any, path: Any, *, _optimize: int = -1
    ) -> types.CodeType:
        """Compile a module's source, as Python 3."""
        text, changed = python2.as_python_3(_text(data), str(path))
        if changed:
            converted.append(str(path))
        return super().source_to_code(text, path)

    def exec_module(self, module: types.ModuleType) -> None:
        """Run a module, with an import statement that knows our `starcluster`."""
        own = types.ModuleType("builtins")
        vars(own).update(vars(builtins), __import__=_importer(module.__name__))
        vars(module)["__builtins__"] = own
        super().exec_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that import `starcluster`; all others are left to Python's own."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of such a module."""
        if fullname.partition(".")[0] == modules.NAME:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or type(spec.loader) is not importlib.machinery.SourceFileLoader:
            return None
        if not _IMPORTS.search(spec.loader.get_data(spec.loader.path)):
            return None
        spec.loader = _Loader(fullname, spec.loader.path)
        return spec


@contextlib.contextmanager
def understood() -> Iterator[None]:
    """Let what is imported in the block be, or need, a plugin of StarCluster's."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _importer(importing: str) -> Any:
    """Return the `__import__` of a module."""
    package = importing.rpartition(".")[0]

    def import_(
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - as Python calls them
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> types.ModuleType:
        if level == 0 and name.partition(".")[0] == modules.NAME:
            try:
                found = modules.find(name)
            except ModuleNotFoundError as error:
                try:  # it may be somebody else's of that name
                    return builtins.__import__(name, globals, locals, fromlist or (), level)
                except ModuleNotFoundError:
                    raise error from None
            for one in fromlist or ():
                if one != "*" and not hasattr(found, one):
                    raise ImportError(
                        f"{name}.{one} is StarCluster's own, and plugins do not get it here"
                    )
            return found if fromlist else modules.find(modules.NAME)
        try:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        except ModuleNotFoundError as error:
            # Python 2 looked beside the module too.
            if level or not package or error.name != name.partition(".")[0]:
                raise
            try:
                with understood():
                    found = importlib.import_module(f"{package}.{name}")
            except ModuleNotFoundError:
                raise error from None
            return found if fromlist else sys.modules[f"{package}.{name.partition('.')[0]}"]

    return import_


def _text(data: Any) -> str:
    """Return a module's source; what does not say how it is written may be Latin-1."""
    try:
        return importlib.util.decode_source(data)
    except (SyntaxError, UnicodeDecodeError):
        return bytes(data).decode("latin-1")
