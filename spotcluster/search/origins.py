"""What the answers of a search come from, beside its data: code that travels, and libraries.

A ledger has it too, so that a search which goes on knows when something of it is another.
"""

from __future__ import annotations

import contextlib
import dis
import hashlib
import importlib.metadata
import pickle
import sys
import types
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import joblib
from joblib.hashing import NumpyHasher

from spotcluster.errors import SearchError
from spotcluster.search import shipping
from spotcluster.search.engine.batch import PYTHON
from spotcluster.search.parcels import Parcel, codes_of, is_importable, parcel
from spotcluster.wording import listed

CURE = "Leave out what cannot be pickled: open files, locks, connections."


@dataclass(frozen=True)
class Origins:
    """What answers come from.

    Attributes
    ----------
    code : dict of str
        A digest of each function and class that goes by value, by its full name.
    versions : dict of str
        Of the packages that the rest is from, by the name that they are imported by; and Python's,
        whose versions have different code for the same text.
    """

    code: dict[str, str]
    versions: dict[str, str]

    @classmethod
    def of(cls, found: Parcel, *, importable: bool = False) -> Origins:
        """Return the origins of what was packed.

        Parameters
        ----------
        importable : bool
            Whether to look only at code that a module has here: what came out of a ledger by value
            is what it was.
        """
        digests: dict[str, list[str]] = {}
        for item in (*found.functions, *found.classes):
            if not importable or is_importable(item):
                of = _of_function if isinstance(item, types.FunctionType) else _of_class
                digests.setdefault(_name(item), []).append(_sha(of(item)))
        code = {name: _sha(sorted(set(each))) for name, each in sorted(digests.items())}
        versions = {PYTHON: ".".join(map(str, sys.version_info[:2]))} if code else {}
        for name in sorted({*found.foreign, "sklearn"}):
            if (version := _version(name)) is not None:
                versions[name] = version
        return cls(code, versions)

    def changes(self, now: Origins, *, all_code: bool = True) -> list[str]:
        """Return what is another now, in words.

        Parameters
        ----------
        all_code : bool
            Whether `now` has all code there is, so that what it does not have is gone.
        """
        changed = []
        both = self.versions.keys() & now.versions.keys()
        for name in sorted(name for name in both if self.versions[name] != now.versions[name]):
            then, later = self.versions[name], now.versions[name]
            changed.append(f"{_distribution(name)} was {then} and is {later}")
        if self.versions.get(PYTHON, "") == now.versions.get(PYTHON, ""):
            names = self.code.keys() | now.code.keys() if all_code else now.code.keys()
            other = [name for name in names if self.code.get(name) != now.code.get(name)]
            if other:
                told = listed(sorted(name.removeprefix("__main__.") for name in other))
                changed.insert(0, f"the code of {told} has changed")
        return changed


def examine(sent: Mapping[str, Any]) -> Parcel:
    """Pack what engines will be sent, by what the user calls it.

    Raises
    ------
    SearchError
        If something cannot be sent; it says what.
    """
    try:
        return parcel(dict(sent))
    except Exception as error:
        what = next((name for name, thing in _parts(sent) if not _packs(thing)), "the search")
        raise SearchError(
            f"{what[0].upper()}{what[1:]} cannot be sent to engines: {error}", CURE
        ) from error


def kept(params: dict[str, Any], *, needless: Collection[str]) -> dict[str, Any]:
    """Return parameters for a ledger; those that are not needed are None if they cannot be kept.

    Raises
    ------
    SearchError
        If one cannot be kept that is needed.
    """
    found = {}
    for name, value in params.items():
        found[name] = value
        try:
            shipping.pack(value)
        except Exception as error:
            if name not in needless:
                raise SearchError(f"{name} cannot be kept in the ledger: {error}", CURE) from error
            found[name] = None
    return found


def code_of(thing: Any, *, importable: bool = False) -> dict[str, str]:
    """Return the digests of code that answers depend on and that is not sent."""
    with contextlib.suppress(Exception):
        return Origins.of(parcel(thing), importable=importable).code
    return {}


def digest(things: Any) -> str:
    """Return what tells things from others, in another process too: their values, and of code the
    names."""
    with contextlib.suppress(pickle.PicklingError, TypeError, AttributeError):
        return str(joblib.hash(things))
    # A function of a notebook, perhaps, which has no name to be found by.
    with contextlib.suppress(Exception):
        return _value(things)
    try:
        return hashlib.sha256(shipping.pack(things)).hexdigest()
    except Exception as error:
        raise SearchError(
            f"The model or its parameters cannot be sent to engines: {error}", CURE
        ) from error


# --- what is said of what cannot be sent ----------------------------------------------------------


def _parts(sent: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the things that are sent by their names, the smallest first."""
    for name, thing in sent.items():
        if hasattr(thing, "get_params") and not isinstance(thing, type):
            with contextlib.suppress(Exception):
                of = thing.get_params(deep=True)
                yield from ((f"the parameter {key!r} of {name}", of[key]) for key in of)
        for each in thing if isinstance(thing, list) else [thing]:
            if isinstance(each, Mapping):
                yield from ((f"{name} {key!r}", value) for key, value in each.items())
        yield name, thing


def _packs(thing: Any) -> bool:
    try:
        parcel(thing)
    except Exception:  # noqa: BLE001 - of any kind: this is how it is found out
        return False
    return True


# --- digests --------------------------------------------------------------------------------------


class _Hasher(NumpyHasher):  # type: ignore[misc] # it has no types
    """joblib's, for which code is its name."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, types.ModuleType):
            return _named, (obj.__name__,)
        if isinstance(obj, types.FunctionType | type) and obj is not _named:
            return NotImplemented if obj.__module__ == "builtins" else (_named, (_name(obj),))
        return NotImplemented


def _named(name: str) -> str:
    return name


def _name(item: Any) -> str:
    return f"{item.__module__}.{item.__qualname__}"


def _value(thing: Any) -> str:
    return str(_Hasher().hash(thing))


def _sha(thing: Any) -> str:
    return hashlib.sha256(repr(thing).encode()).hexdigest()[:16]


def _values(named: Iterable[tuple[str, Any]]) -> list[tuple[str, str]]:
    found = []
    for name, value in named:
        # What is no value, such as a log or a connection, says nothing of the answers.
        with contextlib.suppress(Exception):
            found.append((name, _value(value)))
    return found


def _of_function(function: types.FunctionType) -> Any:
    """Return what a function does, and the values that it reads; not what is said of it."""
    given = function.__globals__
    reads = {
        step.argval
        for code in codes_of(function.__code__)
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in given
    }
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    inner = [(name, cell.cell_contents) for name, cell in cells if _filled(cell)]
    defaults = [("defaults", function.__defaults__), ("keywords", function.__kwdefaults__)]
    told = _values([*((name, given[name]) for name in sorted(reads)), *inner, *defaults])
    return _of_code(function.__code__, function.__doc__), told


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _of_code(code: types.CodeType, doc: str | None = None) -> Any:
    constants = [None if doc and item == doc else _of_constant(item) for item in code.co_consts]
    names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount)
    # Of its flags: whether it takes more arguments, and whether it is a generator.
    return code.co_code, names, counts, code.co_flags & 0x2AC, constants


def _of_constant(item: Any) -> Any:
    if isinstance(item, types.CodeType):
        return _of_code(item)
    if isinstance(item, tuple):
        return tuple(map(_of_constant, item))
    return sorted(map(repr, item)) if isinstance(item, frozenset) else item


def _of_class(kind: type) -> Any:
    """Return what a class is beside its functions, which are told of themselves."""
    code = (types.FunctionType, classmethod, staticmethod, property, type)
    own = [
        (name, value)
        for name, value in sorted(vars(kind).items())
        if not isinstance(value, code) and (name == "__slots__" or not name.startswith("__"))
    ]
    return [_name(base) for base in kind.__bases__], _values(own)


# --- versions -------------------------------------------------------------------------------------


def _version(name: str) -> str | None:
    version = getattr(sys.modules.get(name), "__version__", None)
    if isinstance(version, str):
        return version
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(_distribution(name))
    return None


def _distribution(name: str) -> str:
    """Return the name by which a package is installed."""
    known = importlib.metadata.packages_distributions()
    return known.get(name, [name])[0]
