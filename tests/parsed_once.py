"""botocore's descriptions of AWS, parsed once in a process.

Every boto3 session parses those of its services anew, EC2's for half a second, and nearly every
test makes one. They are read only, in one session as in several.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import botocore
from botocore.loaders import JSONFileLoader

_THEIRS = str(Path(botocore.__file__).parent / "data")
_read = JSONFileLoader.load_file


@functools.cache
def _parsed(path: str) -> Any:
    return _read(JSONFileLoader(), path)


def _load_file(self: JSONFileLoader, path: str) -> Any:
    """Read a file; a user's own may change while the tests run."""
    return _parsed(path) if path.startswith(_THEIRS) else _read(self, path)


def share() -> None:
    """Parse each of its files once, for all sessions of this process."""
    JSONFileLoader.load_file = _load_file
