"""Packs what goes to engines, with the code of the user's own modules in it.

Engines have the distributions that nodes are given, and none of the files of the user's project. So
classes and functions of a module that no distribution has brought go by value, as those of a
notebook do: with whatever of their modules they name, and no more. A module that they import when
they run goes beside them, see `Parcel.modules`.
"""

from __future__ import annotations

import dis
import functools
import importlib.machinery
import importlib.util
import io
import operator
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spotcluster.search.cloudpickle_private import cloudpickle

_OURS = __name__.partition(".")[0]
_COMPILED = tuple(importlib.machinery.EXTENSION_SUFFIXES)
_LOCKS: dict[type, Any] = {type(new()): new for new in (threading.Lock, threading.RLock)}
_Cached = type(functools.cache(lambda: None))
_registry = threading.RLock()  # cloudpickle's, of modules that go by value, is one for all


@dataclass
class Parcel:
    """What is to be sent, pickled.

    Attributes
    ----------
    data : bytes
    modules : dict of module
        Modules of the user's that code in it imports when it runs, by their names.
    functions, classes : list
        What went by value, in the order in which it was met.
    foreign : dict of str
        The packages that the rest is from, by the name of one module of each.
    needed : dict of str
        The modules that it is loaded with, of such packages.
    compiled : set of str
        Modules of the user's that cannot go by value.
    """

    data: bytes = b""
    modules: dict[str, Any] = field(default_factory=dict)
    functions: list[Any] = field(default_factory=list)
    classes: list[Any] = field(default_factory=list)
    foreign: dict[str, None] = field(default_factory=dict)
    needed: dict[str, None] = field(default_factory=dict)
    compiled: set[str] = field(default_factory=set)


def parcel(thing: Any, instead: Callable[[Any], Any] = lambda _: NotImplemented) -> Parcel:
    """Pickle `thing`, and the modules of it, so that an engine can load them.

    Parameters
    ----------
    thing : object
    instead : callable
        Given each function and class that engines should have, and returns how it is pickled, as
        ``reducer_override`` does.

    Raises
    ------
    Exception
        Of any kind, if something in it cannot be pickled.
    """
    return _packed(lambda modules: (thing, modules), instead)


def by_value(thing: Any) -> bytes:
    """Pickle `thing` for `pickle.loads`, with code of the user's in it.

    Raises
    ------
    Exception
        As `parcel`.
    """
    return _packed(lambda _: thing, lambda _: NotImplemented).data


def _packed(whole: Callable[[dict[str, Any]], Any], instead: Callable[[Any], Any]) -> Parcel:
    found, names = Parcel(), set[str]()
    while True:
        modules, known = found.modules, len(names)
        found = Parcel(modules=dict(modules))
        with ExitStack() as stack, io.BytesIO() as file:
            _Packer(file, found, names, stack, instead).dump(whole(modules))
            found.data = file.getvalue()
        # What goes beside is code as well, and may name and import more.
        if len(names) == known and found.modules.keys() == modules.keys():
            return found


class _Packer(cloudpickle.Pickler):  # type: ignore[misc] # it has no types
    """Notes what it meets. `names` are those that code mentions; nothing else of a module goes.

    Most messages are numbers: looking through all modules begins, within `stack`, with the first
    code that is not installed.
    """

    def __init__(
        self,
        file: Any,
        found: Parcel,
        names: set[str],
        stack: ExitStack,
        instead: Callable[[Any], Any],
    ) -> None:
        super().__init__(file)
        self._instead = instead
        self._found = found
        self._names = names
        self._stack: ExitStack | None = stack
        self._listed = cloudpickle.list_registry_pickle_by_value()  # by somebody else
        self._locks: set[int] = set()
        self._plain: set[type] = set()  # whose things are packed as always

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind in self._plain or not isinstance(obj, _SPECIAL):
            self._plain.add(kind)
            return NotImplemented
        return self._code(obj) if isinstance(obj, _CODE) else self._other(obj)

    def _code(self, obj: Any) -> Any:
        # A module of a package of the user's may be compiled, and those of cloudpickle's list go
        # with all that is below them.
        installed = is_importable(obj) and not is_own(sys.modules[obj.__module__])
        if installed and not _is_listed(obj.__module__, self._listed):
            self._elsewhere(obj.__module__, obj)
            return self._instead(obj)
        if self._stack is not None:
            self._stack.enter_context(_by_value())
            self._stack = None
        reduced = super().reducer_override(obj)
        if reduced is NotImplemented:
            self._elsewhere(obj.__module__, obj)
        elif isinstance(obj, types.FunctionType):
            self._found.functions.append(obj)
            self._read(obj)
        elif obj.__module__ != "builtins":  # type(None) and its like
            self._found.classes.append(obj)
            self._unlocked(obj)
        return reduced

    def _other(self, obj: Any) -> Any:
        if id(obj) in self._locks:
            return _LOCKS[type(obj)], ()
        if isinstance(obj, types.ModuleType):
            return self._module(obj)
        if isinstance(obj, functools.cached_property):  # has a lock, and its name from the class
            return type(obj), (obj.func,), self._unlocked(obj)
        if isinstance(obj, _Cached) and self._is_own(obj):
            # It says its name instead of what it is.
            return operator.call, (functools.lru_cache(**obj.cache_parameters()), obj.__wrapped__)
        return NotImplemented

    def _is_own(self, obj: Any) -> bool:
        name = obj.__module__
        return name == "__main__" or is_own(sys.modules.get(name))

    def _module(self, module: types.ModuleType) -> Any:
        name = module.__name__
        if not is_own(module):
            self._elsewhere(name, module)
            return NotImplemented
        known = self._unlocked(module)
        kept = {"__file__", "__getattr__", "__name__", "__package__", "__path__"} | self._names
        return types.ModuleType, (name,), {key: known[key] for key in known if key in kept}

    def _unlocked(self, owner: Any) -> dict[str, Any]:
        """Return what a module or class has; its locks are made anew, for each process has its own.

        The lock of any other thing is not: what it guards here would not be guarded there.
        """
        known = dict(vars(owner))
        self._locks.update(id(value) for value in known.values() if type(value) in _LOCKS)
        return known

    def _elsewhere(self, name: str | None, obj: Any) -> None:
        """Take note of something that engines are to have."""
        top = str(name).partition(".")[0]
        if name is None or top in sys.stdlib_module_names:
            return
        if is_compiled(sys.modules.get(name)):
            self._found.compiled.add(name)
        elif not _is_of_arrays(obj):
            self._found.foreign[top] = None
            self._found.needed[name] = None

    def _read(self, function: types.FunctionType) -> None:
        """Take note of what a function names, and imports when it runs."""
        given = function.__globals__
        self._locks.update(id(value) for value in given.values() if type(value) in _LOCKS)
        for code in codes_of(function.__code__):
            self._names.update(code.co_names)
            self._names.update(item for item in code.co_consts if isinstance(item, str))
            for name in _imports(code, given.get("__package__") or ""):
                module = _own_module(name)
                if module is not None:
                    self._found.modules[name] = module


# --- whose a module is ----------------------------------------------------------------------------


def is_own(module: Any) -> bool:
    """Return whether a module is of the user's project: a file that no distribution has brought."""
    path = _path_of(module)
    return bool(path) and not path.endswith(_COMPILED) and _is_own(module.__name__, path)


def is_compiled(module: Any) -> bool:
    """Return whether a module is of the user's project, and there is no source of it."""
    path = _path_of(module)
    return path.endswith(_COMPILED) and _is_own(module.__name__, path)


def _path_of(module: Any) -> str:
    if not isinstance(module, types.ModuleType):
        return ""
    path = vars(module).get("__file__") or next(iter(vars(module).get("__path__") or ()), None)
    return path if isinstance(path, str) else ""


@functools.cache
def _is_own(name: str, path: str) -> bool:
    top, *rest = name.split(".")
    if top in (*sys.stdlib_module_names, "__main__", "__mp_main__", _OURS):
        return False
    above = list(Path(os.path.abspath(path)).parents)  # noqa: PTH100 - links are kept
    within = len(rest) + (Path(path).stem == "__init__")
    return within < len(above) and not _is_for_installed(above[within])


@functools.cache
def _is_for_installed(folder: Path) -> bool:
    """Return whether distributions are put into a folder: by pip, or with its ``--target``."""
    kept = ("site-packages", "dist-packages")
    return not {*kept}.isdisjoint(folder.parts) or any(folder.glob("*.dist-info"))


def _own_module(name: str) -> Any:
    """Return a module of the user's by its name, imported if need be; None of any other."""
    with suppress(Exception):  # code may ask for what is not there, and know what to do then
        if name not in sys.modules and name.partition(".")[0] not in sys.stdlib_module_names:
            spec = importlib.util.find_spec(name)
            if spec is None or not spec.origin or not _is_own(name, spec.origin):
                return None
            importlib.import_module(name)
        module = sys.modules.get(name)
        return module if is_own(module) else None
    return None


@functools.lru_cache(maxsize=1)
def _own_modules(names: tuple[str, ...]) -> list[str]:
    """Return which of the modules of these names are the user's."""
    found: dict[str, Any] = {name: sys.modules.get(name) for name in names}
    return [name for name in found if is_own(found[name]) and found[name].__name__ == name]


@contextmanager
def _by_value() -> Iterator[None]:
    """Have cloudpickle take the user's modules by value."""
    with _registry:
        known = cloudpickle.list_registry_pickle_by_value()
        own = [sys.modules[name] for name in _own_modules(tuple(sys.modules)) if name not in known]
        for module in own:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in own:
                cloudpickle.unregister_pickle_by_value(module)


# --- what is in code ------------------------------------------------------------------------------

_CODE = (types.FunctionType, types.BuiltinFunctionType, type)
_SPECIAL = (*_CODE, types.ModuleType, functools.cached_property, _Cached, *_LOCKS)


def codes_of(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield a piece of code and all those within it."""
    yield code
    for item in code.co_consts:
        if isinstance(item, types.CodeType):
            yield from codes_of(item)


def _imports(code: types.CodeType, package: str) -> Iterator[str]:
    """Yield the names of all that may be a module in the import statements of a piece of code."""
    before: list[Any] = [None, None]
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            level, names = before
            name = step.argval
            if level:
                with suppress(ImportError):
                    name = importlib.util.resolve_name("." * level + name, package)
            parts = name.split(".")
            yield from (".".join(parts[: n + 1]) for n in range(len(parts)))
            yield from (f"{name}.{item}" for item in names or ())
        before = [before[1], step.argval]


def _is_of_arrays(obj: Any) -> bool:
    """Return whether something is there because numbers and arrays are, and says nothing more."""
    import numpy as np

    plain = (np.generic, np.ndarray, np.dtype)
    if isinstance(obj, type):
        return issubclass(obj, plain)
    return str(getattr(obj, "__module__", "")).startswith("numpy._core")


def _is_listed(name: str, listed: set[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[: n + 1]) in listed for n in range(len(parts)))


def is_importable(item: Any) -> bool:
    """Return whether a function or class is what its module has under its name."""
    found: Any = sys.modules.get(item.__module__)
    for name in item.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is item and item.__module__ != "__main__"
