"""Packs what stays in this process: code is what it is here, and all else is copied."""

from __future__ import annotations

import io
import itertools
import pickle
import types
from typing import Any

from spotcluster.search.parcels import Parcel

_CODE = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type)
_kept: dict[int, Any] = {}
_numbers = itertools.count()


def kept(number: int) -> Any:
    """Return what has gone under a number."""
    return _kept[number]


class References:
    """Code that was packed, for as long as this is there."""

    def __init__(self) -> None:
        self._by_id: dict[int, int] = {}

    def pack(self, thing: Any) -> Parcel:
        """Pickle a thing, for `pickle.loads` in this process.

        Raises
        ------
        Exception
            Of any kind, if something in it cannot be copied.
        """
        with io.BytesIO() as file:
            _Packer(file, self).dump((thing, {}))
            return Parcel(file.getvalue())

    def number_of(self, code: Any) -> int:
        if id(code) not in self._by_id:
            number = next(_numbers)
            _kept[number] = code  # so that nothing else gets its id
            self._by_id[id(code)] = number
        return self._by_id[id(code)]

    def __del__(self) -> None:
        for number in self._by_id.values():
            _kept.pop(number, None)


class _Packer(pickle.Pickler):
    def __init__(self, file: Any, references: References) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._references = references

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, _CODE) or obj is kept:
            return NotImplemented
        return kept, (self._references.number_of(obj),)
