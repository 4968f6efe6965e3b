"""Maps split files into memory, for evaluations that may write into what they are given.

A mapping is private: pages that are written to are copied by the kernel, no others are, and the
file stays as it is. What an evaluation has written is gone before the next one is given anything.
Arrays are plain ones on top of the mapping, since scikit-learn looks whether two are the same
object, and makes a new one of each `numpy.memmap` whenever it looks at it.

Of a file that is small each evaluation is given a copy: to map it anew takes longer.

It is sent to the engines with `here`, and like it imports nothing else of spotcluster.
"""

from __future__ import annotations

import gc
import mmap
import os
import sys
from pathlib import Path
from typing import Any

from . import here

_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
SMALL = 1 << 15  # bytes of a file of which evaluations are given copies
_OURS = 2  # references to a mapping that no array needs any more


class Mapping:
    """A split file of which all arrays can be mapped; they are made anew for each evaluation.

    Parameters
    ----------
    path : str
    tree : any
        What is in it, as `here.load` gives it: tuples, dictionaries, None and mapped arrays.
    """

    def __init__(self, path: str, tree: Any) -> None:
        self._path = path
        self._tree = _placed(tree)
        self._memory: Any = None
        self._content: bytes | None = None
        if os.stat(path).st_size <= SMALL:  # noqa: PTH116 - as elsewhere here
            self._content = Path(path).read_bytes()

    def split(self) -> Any:
        """Return what is in the file, as if nobody had ever written to it."""
        if self._content is not None:
            return _made(self._tree, bytearray(self._content))
        # Whatever still has arrays of the last evaluation keeps its mapping.
        if (
            self._memory is None
            or sys.getrefcount(self._memory) > _OURS
            or not _reset(self._memory)
        ):
            self._memory = _private(self._path)
        return _made(self._tree, self._memory)


def is_mapped(tree: Any) -> bool:
    """Return whether all that is in something is mapped arrays."""
    import numpy as np

    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, tuple | list):
        return all(map(is_mapped, tree))
    return tree is None or isinstance(tree, np.memmap)


def plain(thing: Any) -> Any:
    """Return something with plain arrays in the place of mapped ones, and of the same memory."""
    import numpy as np
    from scipy import sparse

    if isinstance(thing, np.memmap):
        return np.asarray(thing)
    if isinstance(thing, dict):
        return {name: plain(value) for name, value in thing.items()}
    if type(thing) in (tuple, list):
        return type(thing)(map(plain, thing))
    if sparse.issparse(thing):
        vars(thing).update({name: plain(value) for name, value in vars(thing).items()})
    return thing


def load(path: str) -> Any:
    """Return what is in a file; it may be written to, and the file stays as it is."""
    return plain(here.load(path))


class _Place:
    """Where an array is in a file."""

    def __init__(self, array: Any) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self.offset, self.strides = array.offset, array.strides


def _placed(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _placed(value) for name, value in tree.items()}
    if isinstance(tree, tuple | list):
        return tuple(map(_placed, tree))
    return None if tree is None else _Place(tree)


def _made(tree: Any, memory: Any) -> Any:
    import numpy as np

    if isinstance(tree, _Place):
        return np.ndarray(tree.shape, tree.dtype, memory, tree.offset, tree.strides)
    if isinstance(tree, dict):
        return {name: _made(value, memory) for name, value in tree.items()}
    return tree and tuple(_made(item, memory) for item in tree)


def _private(path: str) -> Any:
    handle = os.open(path, os.O_RDONLY)
    try:
        return _map(handle)
    except OSError:
        gc.collect()  # each mapping has an open file, which lasts as long as its arrays
        return _map(handle)
    finally:
        os.close(handle)


def _map(handle: int) -> Any:
    # Without a claim to memory for all of it, which a host may not have.
    flags = mmap.MAP_PRIVATE | _NO_RESERVE
    return mmap.mmap(handle, 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)


def _reset(memory: Any) -> bool:
    """Drop what was written, and only that: the file's pages stay in the host's cache."""
    if sys.platform != "linux":  # where it is no order, only an advice
        return False
    try:
        memory.madvise(mmap.MADV_DONTNEED)
    except OSError:
        return False
    return True
