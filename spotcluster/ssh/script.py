"""What goes over for a script, and what its output says about how it ended.

The login's shell, whatever it is, runs one line that becomes ``bash``, which reads the script from
standard input up to a NUL byte; what follows is the script's own input. So a script of any size
goes over at once, is nowhere in a command line, and no command in it can read the rest of it.

Both output streams begin with a mark, because a login may print before us, and what comes after a
second mark on standard error are bash's notes on how the script ended. They are collected in a file
that is unlinked as soon as it is open, for all other ways disturb the script: a copy of standard
error would be inherited by daemons and keep the session open, and a redirection around the failing
command would catch the note.
"""

from __future__ import annotations

import re
import secrets
import shlex
from dataclasses import dataclass, field

_NOTES, _NOTES_AGAIN, _STDERR = 87, 88, 89  # numbers that scripts do not use for their own files

# One line, because csh cannot quote a newline. Bash 3.2 (macOS) understands it too.
#
# Notes: E a command failed under `set -e` (not in a nested subshell, which may be let fail), with
# its line and the statuses of its pipeline; X what bash was at when it left; T what it was at when
# its time was over. PIPESTATUS must be read before anything else runs.
BODY = "; ".join(
    [
        "unset BASH_ENV",
        "sc_mark=$1 sc_input=$2",
        'IFS= read -r -d "" sc_script',
        '[ "$sc_input" = 1 ] || exec </dev/null',
        "cd 2>/dev/null || cd /",
        "sc_notes=${TMPDIR:-/tmp}/.spotcluster.$sc_mark",
        '{ ( set -C; umask 077; : >"$sc_notes" )'
        f' && exec {_NOTES}>"$sc_notes" {_NOTES_AGAIN}<"$sc_notes"'
        ' && rm -f -- "$sc_notes"; } 2>/dev/null'
        f" || exec {_NOTES}>/dev/null {_NOTES_AGAIN}</dev/null",
        r'printf "%s\n" "$sc_mark"',
        r'printf "%s\n" "$sc_mark" >&2',
        # What bash itself says of a killed subshell would show this line to the user.
        f"exec {_STDERR}>&2 2>/dev/null",
        "trap : TERM",
        # The subshell: from here on it is the script's.
        f"( exec 2>&{_STDERR} {_STDERR}>&-"
        "; set --"
        r"; trap 'case $BASH_SUBSHELL$- in (1*e*)"
        r' printf "E%s:%s:%s\0" "$LINENO" "${PIPESTATUS[*]}" "$BASH_COMMAND"'
        f" >&{_NOTES};; esac' ERR"
        rf"""; trap 'printf "X%s\0" "$BASH_COMMAND" >&{_NOTES}' EXIT"""
        rf"""; trap 'printf "T%s\0" "$BASH_COMMAND" >&{_NOTES}; exit 143' TERM"""
        '; set -Eeuo pipefail; eval "$sc_script" )',
        "sc_status=$?",
        f'printf "%s" "$sc_mark" >&{_STDERR}',
        f"[ $sc_status = 0 ] || cat <&{_NOTES_AGAIN} >&{_STDERR}",
        "exit $sc_status",
    ]
)

# The limit holds on the machine too, so that nothing runs on there when we are gone; macOS has no
# `timeout`. KILL comes two seconds later, for what ignores TERM.
KILLED_AFTER = 2
GUARD = (
    "if command -v timeout >/dev/null 2>&1"
    f'; then exec timeout -k {KILLED_AFTER} "$1" bash --norc -c "$4" bash "$2" "$3" ${{5:+"$5"}}'
    '; else exec bash --norc -c "$4" bash "$2" "$3" ${5:+"$5"}; fi'
)

LOOKS = "spotcluster-looks"
"""A last word of the command line, by which autostop.py knows who only looks."""

_TIMED_OUT = (124, 137, -1)  # timeout's own status after TERM; KILL gets it too


@dataclass(frozen=True)
class Script:
    """A script on its way: the line that the login's shell runs, and what it reads.

    Parameters
    ----------
    text : str
        The script.
    limit : float
        Seconds after which the machine itself ends it.
    user : str, optional
        Who runs it, by sudo; the login unless given.
    input : bytes, optional
        The standard input of its commands; ``/dev/null`` unless given.
    looks : bool
        Whether it only looks how the machine does; see `LOOKS`.
    """

    text: str
    limit: float
    user: str | None = None
    input: bytes | None = None
    looks: bool = False
    mark: str = field(default_factory=lambda: secrets.token_hex(12))

    def __post_init__(self) -> None:
        if "\0" in self.text:
            raise ValueError("a script cannot hold a NUL byte")

    @property
    def line(self) -> str:
        """The command line for the login's shell."""
        has_input = "0" if self.input is None else "1"
        words = ["env", "BASH_ENV=", "sh", "-c", GUARD, "sh", f"{self.limit:.3f}"]
        words += [self.mark, has_input, BODY, *([LOOKS] if self.looks else ())]
        if self.user:
            words = ["sudo", "-n", "-H", "-u", self.user, "--", *words]
        return "exec " + shlex.join(words)

    @property
    def stdin(self) -> bytes:
        """What goes to its standard input."""
        return self.text.encode("utf-8", "surrogateescape") + b"\0" + (self.input or b"")

    @property
    def first_line(self) -> str:
        """The first line that is not a comment."""
        lines = (line.strip() for line in self.text.splitlines())
        return next((line for line in lines if line and not line.startswith("#")), "(empty)")

    def ending(self, status: int, stdout: bytes, stderr: bytes, *, elapsed: float) -> Ending:
        """Read how it ended from its status and all that came."""
        mark = self.mark.encode()
        begin = mark + b"\n"
        started = begin in stderr
        out, err = slice(0, len(stdout)), slice(0, len(stderr))
        notes: list[str] = []
        if started:
            out = slice(stdout.index(begin) + len(begin) if begin in stdout else 0, len(stdout))
            start = stderr.index(begin) + len(begin)
            end = stderr.find(mark, start)
            err = slice(start, len(stderr) if end < 0 else end)
            notes = stderr[err.stop + len(mark) :].decode(errors="replace").split("\0")[:-1]
        command = self._culprit(status, notes) if started else self._starter()
        timed_out = status in _TIMED_OUT and elapsed >= self.limit
        return Ending(command, started, timed_out, out, err)

    def _starter(self) -> str:
        return f"sudo -n -u {shlex.quote(self.user)} bash" if self.user else "bash"

    def _culprit(self, status: int, notes: list[str]) -> str:
        """Return the command that ended the script."""
        by_kind = {note[:1]: note[1:] for note in notes}
        if "T" in by_kind:
            return by_kind["T"].strip()
        if "E" in by_kind:
            return self._failed(by_kind["E"])
        at_exit = by_kind.get("X", "")
        if at_exit and not at_exit.startswith("eval "):
            return at_exit.strip()
        if 0 < status < 128 and re.search(rf"\bexit +{status}\b", self.text):
            return f"exit {status}"
        return self.first_line

    def _failed(self, note: str) -> str:
        number, statuses, command = note.split(":", 2)
        if " " not in statuses:
            return command.strip()
        # Of a pipeline bash names the last command only, whichever failed.
        line = self._whole_line(int(number))
        return line if command in line else f"... | {command.strip()}"

    def _whole_line(self, number: int) -> str:
        """Return a line together with those that it continues."""
        lines = [line.strip() for line in self.text.splitlines()]
        if not 0 < number <= len(lines):
            return ""
        first = number - 1
        while first and lines[first - 1].endswith(("\\", "|")):
            first -= 1
        return " ".join(line.rstrip("\\").strip() for line in lines[first:number])


@dataclass(frozen=True)
class Ending:
    """How a script ended.

    Attributes
    ----------
    command : str
        If it failed: the command that failed.
    started : bool
        Whether it started at all; if not, the output is the login's.
    timed_out : bool
        Whether the machine ended it at its limit.
    stdout, stderr : slice
        Where its own output is in what came.
    """

    command: str
    started: bool
    timed_out: bool
    stdout: slice
    stderr: slice
