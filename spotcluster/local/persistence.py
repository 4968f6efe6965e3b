"""The state file: moto's objects as they are, pickled.

Pickle is fine for this one file: it is in our own folder, which only its owner can write, and it
never leaves the computer. It names the versions that wrote it, because moto's objects are only
moto's business and change with it.
"""

from __future__ import annotations

import functools
import io
import pickle
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spotcluster import files
from spotcluster.errors import LocalCloudError

FORMAT = 1


def _file(folder: Path) -> Path:
    return folder / "state.pickle"


_version = functools.cache(version)  # it is read from a file, and a save is made at each call


def _header() -> dict[str, Any]:
    return {"format": FORMAT, "moto": _version("moto")}


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` aside, then put it in place."""
    data = pickle.dumps(_header()) + pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL)
    files.write_private(_file(folder), data)


def load(folder: Path) -> dict[str, Any]:
    """Return the state that was saved last, empty when there is none.

    Raises
    ------
    LocalCloudError
        If another version of moto or of us wrote it, or it cannot be read.
    """
    path = _file(folder)
    try:
        with io.BytesIO(files.read_private(path)) as file:
            header = pickle.load(file)  # noqa: S301 - our own file, see above
            if header != _header():
                raise LocalCloudError(
                    f"The state of the local cloud in {path} was written by another version "
                    f"({_words(header)}; this one is {_words(_header())}).",
                    f"If no instance in it matters any more, remove {path} and start again.",
                )
            state: dict[str, Any] = pickle.load(file)  # noqa: S301
            return state
    except FileNotFoundError:
        return {}
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError) as error:
        raise LocalCloudError(
            f"The state of the local cloud in {path} cannot be read: {error}.",
            f"If no instance in it matters any more, remove {path} and start again.",
        ) from error


def _words(header: object) -> str:
    if not isinstance(header, dict):
        return "an unknown format"
    return ", ".join(f"{name} {value}" for name, value in header.items())
