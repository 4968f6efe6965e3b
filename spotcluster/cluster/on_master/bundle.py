"""What a job takes along: a script or a folder of this computer, and the command that it runs."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from spotcluster.errors import UsageError

_LEFT_OUT = frozenset({".git", ".hg", ".svn", "__pycache__", ".ipynb_checkpoints", ".mypy_cache"})
_MAINS = ("main.py", "__main__.py")
_INTERPRETERS = {".py": "python", ".sh": "bash"}


@dataclass(frozen=True)
class Bundle:
    """Files of this computer, and the command that is run in a copy of them.

    Attributes
    ----------
    root : Path
        A file, which is copied alone, or a folder, whose content is.
    command : tuple of str
        The words of the command; the first is a program, ``python`` for that of the cluster.
    """

    root: Path
    command: tuple[str, ...]

    def files(self) -> Iterator[tuple[Path, str]]:
        """Yield what is copied, each with its name in the job's folder; folders before their files.

        Version control, caches and virtual environments stay behind, and so do sockets and the
        like, which are no files.
        """
        if not self.root.is_dir():
            yield self.root, self.root.name
            return
        for folder, names, files in os.walk(self.root, onerror=_refuse):
            here = Path(folder)
            names[:] = sorted(
                name
                for name in names
                if name not in _LEFT_OUT and not (here / name / "pyvenv.cfg").exists()
            )
            for name in [*names, *sorted(files)]:
                path = here / name
                mode = path.lstat().st_mode
                if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
                    yield path, str(path.relative_to(self.root))

    def pack(self, file: IO[bytes]) -> tuple[int, int]:
        """Write them to `file` as a tar archive; return how many files there are, and their bytes.

        Raises
        ------
        UsageError
            One of them cannot be read.
        """
        count = size = 0
        with tarfile.open(
            fileobj=file, mode="w:gz", compresslevel=1, format=tarfile.PAX_FORMAT
        ) as archive:
            for path, name in self.files():
                try:
                    # A link that leads out of what is copied would lead nowhere: its file goes.
                    archive.dereference = path.is_symlink() and self._leads_out(path)
                    archive.add(path, f"./{name}", recursive=False)
                except OSError as error:
                    raise UsageError(
                        f"{path} cannot be copied: {error.strerror or error}.",
                        "Check its permissions, or move it out of the folder.",
                    ) from error
                if path.is_file():
                    count += 1
                    size += path.stat().st_size
        return count, size

    def _leads_out(self, path: Path) -> bool:
        target = path.resolve()
        if not target.is_file():  # a folder elsewhere could be anything, and a broken link is one
            return False
        root = self.root.resolve()
        return not self.root.is_dir() or not target.is_relative_to(root)


def of(words: Sequence[str]) -> Bundle:
    """Return the bundle that the words of a command line mean.

    ``script.py ARGS`` copies the script; ``FOLDER script.py ARGS``, ``FOLDER PROGRAM ARGS`` and
    ``FOLDER`` alone, which runs its main.py, copy the folder. ``--`` may stand before either part.

    Raises
    ------
    UsageError
        They name nothing that is there, or nothing that can be run.
    """
    rest = _without_dashes(words)
    if not rest:
        raise UsageError(
            "There is nothing to run.", "Name a script, or a folder and what to run in it."
        )
    root = Path(rest[0])
    if not root.exists():
        hint = "Paths are those of this computer, relative to the current folder."
        if rest[0].startswith("-"):
            hint = "Options of `run` stand before the cluster's name, those of the script after it."
        raise UsageError(f"There is no file or folder '{rest[0]}' on this computer.", hint)
    if root.is_file():
        return Bundle(root, (*_runner(root, root.name), *rest[1:]))
    if not root.is_dir():
        raise UsageError(f"'{root}' is neither a file nor a folder.", "Name a script or a folder.")
    command = _without_dashes(rest[1:])
    if not command:
        main = next((name for name in _MAINS if (root / name).is_file()), None)
        if main is None:
            raise UsageError(
                f"The folder '{root}' has no main.py, and you name nothing to run in it.",
                f"As in `run NAME {root} script.py ARGS` or `run NAME {root} -- python -m module`.",
            )
        command = (main,)
    inside = root / command[0]
    if not Path(command[0]).is_absolute() and inside.is_file():
        return Bundle(root, (*_runner(inside, command[0]), *command[1:]))
    if "/" in command[0] or command[0].endswith(tuple(_INTERPRETERS)):
        raise UsageError(
            f"The folder '{root}' has no file '{command[0]}'.",
            "What to run is a file in the folder, or a program of the master.",
        )
    return Bundle(root, tuple(command))


def _without_dashes(words: Sequence[str]) -> Sequence[str]:
    return words[1:] if words and words[0] == "--" else words


def _runner(path: Path, name: str) -> tuple[str, ...]:
    """Return the words that run a file by its name in the job's folder."""
    interpreter = _INTERPRETERS.get(path.suffix.lower())
    if interpreter:
        return interpreter, f"./{name}" if name.startswith("-") else name
    try:
        with path.open("rb") as file:
            has_shebang = file.read(2) == b"#!"
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read: {error.strerror}.", "Check it.") from error
    if not has_shebang and not os.access(path, os.X_OK):
        raise UsageError(
            f"'{path}' cannot be run: it is no Python or shell script, and no program.",
            "Give it the suffix .py or .sh, or make it executable.",
        )
    return (f"./{name}",)


def _refuse(error: OSError) -> None:
    raise UsageError(
        f"The folder {error.filename} cannot be read: {error.strerror}.", "Check its permissions."
    )
