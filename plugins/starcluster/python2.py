"""Python 2, which StarCluster's plugins were written in, as Python 3.

Most of them are valid Python 3 as they stand. Tabs among spaces are set right here; for the rest
there is fissix, Python's own 2to3 after Python let go of it, where somebody has installed it.
"""

from __future__ import annotations

import importlib
import importlib.util
import re

EXTRA = "starcluster"

# What a line may hold that is no indentation though it begins with blanks: the rest of a string.
_INDENTED = re.compile(
    r"""(?P<kept>\#[^\n]*
    | '''(?:\\.|[^\\])*?''' | \"""(?:\\.|[^\\])*?\"""
    | '(?:\\.|[^\\'\n])*' | "(?:\\.|[^\\"\n])*")
    | (?P<blanks>^[ \t]+)""",
    re.MULTILINE | re.VERBOSE | re.DOTALL,
)
# Not these: they change what is right in Python 3 too, or what only looks like Python 2.
_LEFT_OUT = ("buffer", "future", "idioms", "import", "set_literal", "ws_comma")


class Unreadable(SyntaxError):
    """A module that is neither Python 3 nor can be made that; the message says what to do."""


def as_python_3(source: str, path: str) -> tuple[str, bool]:
    """Return a module's source as Python 3, and whether it had to be converted for that.

    Raises
    ------
    Unreadable
    """
    source = source.replace("\r\n", "\n").replace("\f", "")
    try:
        compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        first = error
    else:
        return source, False
    spaced = _INDENTED.sub(lambda found: found["kept"] or found["blanks"].expandtabs(), source)
    try:
        compile(spaced, path, "exec", dont_inherit=True)
    except SyntaxError:
        return _converted(spaced, path, first), True
    return spaced, False


def _converted(source: str, path: str, first: SyntaxError) -> str:
    where = f"{path}, line {first.lineno}: {first.msg}"
    if importlib.util.find_spec("fissix") is None:
        raise Unreadable(
            f"it is Python 2 ({where}); `pip install 'spotcluster[{EXTRA}]'` has it converted each"
            f" time it is loaded"
        )
    refactor = importlib.import_module("fissix.refactor")
    fixers = [
        one
        for one in refactor.get_fixers_from_package("fissix.fixes")
        if one.rpartition(".fix_")[2] not in _LEFT_OUT
    ]
    try:
        converted = str(refactor.RefactoringTool(fixers).refactor_string(f"{source}\n", path))
        compile(converted, path, "exec", dont_inherit=True)
    except Exception as error:  # its own errors have no base of their own
        raise Unreadable(
            f"it is neither Python 3 nor Python 2 that can be converted ({where}); correct that"
            " line"
        ) from error
    return converted
