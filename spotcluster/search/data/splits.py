"""Train/test splits as files that engines map into memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import sys
import time
import types
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from joblib.numpy_pickle import NumpyPickler
from scipy import sparse
from sklearn.model_selection import ShuffleSplit, check_cv
from sklearn.utils import check_random_state

from spotcluster import files
from spotcluster.errors import SearchError
from spotcluster.search import parcels
from spotcluster.search.data.parameters import BadParameter
from spotcluster.search.engine import mapping
from spotcluster.search.engine.here import file_digest
from spotcluster.search.sklearn_private import num_samples, safe_indexing

_digests: dict[tuple[str, int, int, int], str] = {}  # of files that searches of this process had
_SETTLED = 10.0
"""Seconds after which a file that changes gets another time, by whatever clock and file system."""


@dataclass(frozen=True)
class SplitFile:
    """A split file of the client: where it is and what is in it."""

    path: str
    size: int
    digest: str

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> SplitFile:
        """Read the file at `path` for its size and digest.

        Raises
        ------
        SearchError
            If there is no such file.
        """
        name = os.path.abspath(path)  # noqa: PTH100 - as persist_cv_splits, links are kept
        try:
            found = Path(name).stat()
            as_it_is = (name, found.st_ino, found.st_size, found.st_mtime_ns)
            digest = _digests.get(as_it_is) or file_digest(name)
            if time.time() - found.st_mtime > _SETTLED:
                _digests[as_it_is] = digest
            return cls(name, found.st_size, digest)
        except OSError as error:
            raise SearchError(
                f"The split file {name} cannot be read ({error.strerror}).",
                "Write the splits again with persist_cv_splits.",
            ) from error


@dataclass(frozen=True)
class Bundle:
    """All split files of one search, in the order of its splits."""

    splits: tuple[SplitFile, ...]

    @classmethod
    def of(cls, paths: Iterable[str | os.PathLike[str]]) -> Bundle:
        """Read the files at `paths`."""
        splits = tuple(SplitFile.at(path) for path in paths)
        if not splits:
            raise SearchError(
                "A search needs at least one split file.", "Write some with persist_cv_splits."
            )
        return cls(splits)

    @property
    def digest(self) -> str:
        """What the bundle is called on the hosts: a name made from its content."""
        return hashlib.sha256("".join(split.digest for split in self.splits).encode()).hexdigest()

    def as_plain(self) -> list[dict[str, Any]]:
        """Return the files as plain objects, each content once."""
        return [asdict(split) for split in {split.digest: split for split in self.splits}.values()]


def persist_cv_splits(
    X: Any,
    y: Any,
    n_cv_iter: int = 5,
    name: str = "data",
    suffix: str = "_cv_%03d.pkl",
    test_size: float | None = 0.25,
    random_state: Any = None,
    *,
    cv: Any = None,
    groups: Any = None,
    folder: str | os.PathLike[str] = ".",
) -> list[str]:
    """Write the train/test splits of a dataset into files that can be memory-mapped.

    Parameters
    ----------
    X, y : array-like, sparse matrix or data frame
        The dataset; `y` may be None.
    n_cv_iter, test_size, random_state
        Given to `sklearn.model_selection.ShuffleSplit`; not used when `cv` is given.
    name, suffix : str
        Each file is called ``name + suffix % number``.
    cv : int, splitter or iterable, optional
        Anything that scikit-learn takes as `cv`.
    groups : array-like, optional
        Given to the splitter.
    folder : path
        Where a relative `name` is put.

    Returns
    -------
    list of str
        The absolute file names, in the order of the splits. Each file holds the tuple
        ``(X_train, y_train, X_test, y_test)``, uncompressed.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> digits = load_digits()
    >>> files = persist_cv_splits(digits.data, digits.target, name="digits", random_state=42)
    """
    splitter = cv if cv is not None else shuffle_split(n_cv_iter, test_size, random_state)
    filenames = []
    for number, fold in enumerate(_folds(X, y, splitter, groups)):
        target = os.path.abspath(os.path.join(folder, name + suffix % number))  # noqa: PTH100, PTH118
        with _written_aside(Path(target)) as aside:
            dump(fold, aside)
        filenames.append(target)
    check_splits(len(filenames))
    return filenames


def check_splits(count: int) -> None:
    """See that there are splits at all.

    Raises
    ------
    BadParameter
        In scikit-learn's words, if not.
    """
    if not count:
        raise BadParameter(
            "No fits were performed. Was the CV iterator empty? Were there no candidates?",
            "Give a cv that has splits.",
        )


def store_cv_splits(X: Any, y: Any, splitter: Any, groups: Any = None) -> list[str]:
    """Write splits into spotcluster's own folder, named by their content; return their names."""
    return store(_folds(X, y, splitter, groups))


def store_shuffled(paths: Iterable[str | os.PathLike[str]], random_state: Any) -> list[str]:
    """Write split files anew, the rows of each training part in a random order; return the names.

    The order is drawn for one file after the other, as by `sklearn.model_selection.learning_curve`.
    """
    rng = check_random_state(random_state)

    def shuffled(path: str | os.PathLike[str]) -> tuple[Any, Any, Any, Any]:
        # as plain arrays, which is what the file had: its name says what is in it
        X_train, y_train, X_test, y_test = map(mapping.plain, _mapped(path))
        rows = rng.permutation(num_samples(X_train))
        y_rows = None if y_train is None else safe_indexing(y_train, rows)
        return safe_indexing(X_train, rows), y_rows, X_test, y_test

    return store(shuffled(path) for path in paths)


def _mapped(path: str | os.PathLike[str]) -> Any:
    try:
        return joblib.load(path, mmap_mode="r")
    except OSError as error:
        raise SearchError(
            f"The split file {path} cannot be read ({error.strerror}).",
            "Write the splits again with persist_cv_splits.",
        ) from error


def store(folds: Iterable[Any], *, own: bool = True) -> list[str]:
    """Write things into spotcluster's own folder, named by their content; return their names.

    `own` is as in `dump`.
    """
    folder = files.private_dir("splits")
    filenames = []
    for fold in folds:
        aside = folder / f".{uuid.uuid4().hex}.new"
        try:
            aside.touch(mode=0o600)
            dump(fold, aside, own=own)
            target = folder / f"{file_digest(str(aside))}.pkl"
            # Engines may have the very same file mapped, and their markers know its time stamp.
            if not target.exists() or target.stat().st_size != aside.stat().st_size:
                aside.replace(target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                aside.unlink()
        filenames.append(str(target))
    return filenames


def dump(thing: Any, path: Path, *, own: bool = True) -> None:
    """Write a thing as joblib does, and by value the code in it that cannot be imported elsewhere.

    Parameters
    ----------
    own : bool
        Whether that is so of modules of the user's; else they are there where it is read.

    Raises
    ------
    SearchError
        If it cannot be pickled.
    """
    with path.open("wb") as file:
        try:
            _Dumper(file, own=own).dump(thing)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise SearchError(
                f"The data cannot be written into split files: {error}",
                "Leave out what cannot be pickled: open files, locks, connections.",
            ) from error


class _Dumper(NumpyPickler):  # type: ignore[misc] # it has no types
    def __init__(self, file: Any, *, own: bool) -> None:
        super().__init__(file)
        self._own = own

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, types.FunctionType | type) or obj.__module__ == "builtins":
            return NotImplemented
        if not parcels.is_importable(obj):
            return pickle.loads, (parcels.by_value(obj),)
        if self._own and parcels.is_own(sys.modules[obj.__module__]):
            return pickle.loads, (parcels.by_value(obj),)
        return NotImplemented


def shuffle_split(n_splits: int, test_size: float | None, random_state: Any) -> Any:
    """Return the splitter of the seed: random splits, each independent of the others."""
    return ShuffleSplit(n_splits=n_splits, test_size=test_size, random_state=random_state)


def splitter_for(cv: Any, y: Any, *, classifier: bool) -> Any:
    """Return the splitter that scikit-learn would make of `cv`."""
    return check_cv(cv, y, classifier=classifier)


def _folds(X: Any, y: Any, cv: Any, groups: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
    def part(data: Any, indices: Sequence[int]) -> Any:
        return None if data is None else safe_indexing(data, indices)

    for train, test in check_cv(cv).split(X, y, groups):
        yield part(X, train), part(y, train), part(X, test), part(y, test)


@contextlib.contextmanager
def _written_aside(target: Path) -> Iterator[Path]:
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        yield aside
        aside.replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()


def whole_dataset(path: str) -> tuple[Any, Any]:
    """Return all rows of a split file, those of its training part first."""
    X_train, y_train, X_test, y_test = mapping.load(path)
    return _joined(X_train, X_test), None if y_train is None else _joined(y_train, y_test)


def _joined(first: Any, second: Any) -> Any:
    if hasattr(first, "iloc"):
        import pandas as pd

        return pd.concat([first, second])
    library: Any = sys.modules.get(type(first).__module__.partition(".")[0])
    if hasattr(library, "DataFrame") and hasattr(library, "concat"):  # polars
        return library.concat([first, second])
    if hasattr(library, "concat_tables"):  # pyarrow
        if hasattr(first, "column_names"):
            return library.concat_tables([first, second])
        return library.chunked_array([*_chunks(first), *_chunks(second)])
    if sparse.issparse(first):
        return sparse.vstack([first, second], format=first.format)
    if isinstance(first, np.ma.MaskedArray):
        return np.ma.concatenate([first, second])  # type: ignore[no-untyped-call] # it has no types
    return [*first, *second] if isinstance(first, list) else np.concatenate([first, second])


def _chunks(array: Any) -> list[Any]:
    return list(getattr(array, "chunks", [array]))
