"""Several scripts in one round trip, each as if it had gone over alone.

What runs on the machine is one script of the login's, which runs the others one after the other:
each by a bash of its own, as its own user, within its own limit, and with marks and notes of its
own (see `script`), by which its output and its end are told from those of the others. The first
that fails ends the series.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from spotcluster.ssh.script import BODY, GUARD, KILLED_AFTER, Ending, Script
from spotcluster.steps import Step

# A step's script goes to its bash by a pipe: it is in no command line, and no sudo that reads ahead
# can take what belongs to the next one.
_CONDUCTOR = """\
sc_step() { # mark, limit, user or nothing; the script is $sc_text
    local status=0 limit=$2 begin=$SECONDS left=$((sc_end - SECONDS)) words
    [ "$limit" -le "$left" ] || limit=$left
    if [ "$limit" -gt 0 ]; then
        if [ -n "$3" ]; then
            words=(env BASH_ENV= sh -c "$sc_guard" sh "$limit" "$1" 0 "$sc_body")
            words=(sudo -n -H -u "$3" -- "${words[@]}")
        else # what the guard does, without the two programs on the way to it
            words=(bash --norc -c "$sc_body" bash "$1" 0)
            [ -z "$sc_timeout" ] || words=(timeout -k "$sc_killed" "$limit" "${words[@]}")
        fi
        # Of a step that was killed bash would tell by our own words, and what is said is shown.
        {
            printf '%s\\0' "$sc_text" | "${words[@]}" 2>&89 89>&- || status=${PIPESTATUS[1]}
        } 89>&2 2>/dev/null
    else
        status=124
    fi
    [ "$status" != 0 ] || return 0
    printf '%s failed %d %d %d\\n' "$1" "$status" "$limit" "$((SECONDS - begin))" >&2
    exit "$status"
}
"""
# The step before has ended with its mark, and no new line, where this one had no time to begin.
_FAILED = re.compile(rb"([0-9a-f]{24}) failed (\d+) (-?\d+) (\d+)\n")
_SLACK = 5.0  # seconds that the whole may take longer than what is in it


@dataclass(frozen=True)
class Failure:
    """The step that ended a series.

    Attributes
    ----------
    step : Step
        With the limit that it had.
    status : int
        Its own exit status.
    ending : Ending
        How it ended.
    """

    step: Step
    status: int
    ending: Ending


@dataclass(frozen=True)
class Series:
    """Several scripts on their way.

    Parameters
    ----------
    steps : sequence of Step
        In their order.
    login : str
        Who is logged in, and needs no sudo to be.
    limit : float
        Seconds that all of them may take.
    """

    steps: tuple[Step, ...]
    scripts: tuple[Script, ...]
    whole: Script

    @classmethod
    def of(cls, steps: Sequence[Step], login: str, limit: float) -> Series:
        """Make the series of some steps."""
        limits = [min(step.timeout, limit) for step in steps]
        scripts = tuple(
            Script(step.script, allowed, step.user if step.user != login else None)
            for step, allowed in zip(steps, limits, strict=True)
        )
        lines = [
            f"sc_end=$((SECONDS + {ceil(limit)} + 1))",  # it counts whole seconds: one is begun
            f"sc_guard={shlex.quote(GUARD)}",
            f"sc_body={shlex.quote(BODY)}",
            f"sc_killed={KILLED_AFTER} sc_timeout=",
            "if command -v timeout >/dev/null 2>&1; then sc_timeout=1; fi",
            _CONDUCTOR,
        ]
        for step, script in zip(steps, scripts, strict=True):
            words = shlex.join([script.mark, str(ceil(script.limit)), script.user or ""])
            call = f"sc_text={shlex.quote(script.text)}\nsc_step {words}"
            # A condition is written down as users would: it is of our own making, as scripts are.
            lines.append(
                f"if {{ {step.when}; }} >/dev/null 2>&1; then\n{call}\nfi" if step.when else call
            )
        return cls(tuple(steps), scripts, Script("\n".join(lines), limit + _SLACK))

    def outputs(self, stdout: bytes) -> list[bytes]:
        """Return what each step has printed; nothing where it was left out."""
        parts: list[bytes] = []
        end = len(stdout)
        for script in reversed(self.scripts):
            begin = stdout.rfind(script.mark.encode() + b"\n", 0, end)
            if begin < 0:
                parts.append(b"")
                continue
            parts.append(stdout[begin + len(script.mark) + 1 : end])
            end = begin
        return parts[::-1]

    def failure(self, status: int, stdout: bytes, stderr: bytes) -> Failure:
        """Return which step failed, and how, from all that came; `status` is that of the whole."""
        number = self._last_begun(stderr)
        limit, took, end = self.scripts[number].limit, 0.0, len(stderr)
        marks = [script.mark.encode() for script in self.scripts]
        for found in _FAILED.finditer(stderr):
            if found[1] in marks:
                number, status = marks.index(found[1]), int(found[2])
                # Of whole seconds: it may have taken one more than they say.
                limit, took, end = float(found[3]), float(found[4]) + 1, found.start()
        script = replace(self.scripts[number], limit=limit)
        ending = script.ending(status, stdout, stderr, elapsed=took)
        if not ending.started and self.whole.mark.encode() in stderr:
            # What was said then is what sudo said, after the last word of the step before.
            before = max(stderr.rfind(mark, 0, end) for mark in [self._mark, *marks[:number]])
            begin = before + len(self._mark)
            ending = replace(ending, stdout=slice(0, 0), stderr=slice(begin, max(begin, end)))
        return Failure(replace(self.steps[number], timeout=limit), status, ending)

    def at(self, stderr: bytes) -> str:
        """Return what the step was for that had begun last."""
        return self.steps[self._last_begun(stderr)].what

    @property
    def _mark(self) -> bytes:
        return self.whole.mark.encode() + b"\n"

    def _last_begun(self, stderr: bytes) -> int:
        begun = [
            number
            for number, script in enumerate(self.scripts)
            if script.mark.encode() + b"\n" in stderr
        ]
        return begun[-1] if begun else 0
