"""Ledgers as they are looked at: what is in one, and several of one search as one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spotcluster import files
from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import Candidate
from spotcluster.search.results import record
from spotcluster.search.results.record import Record
from spotcluster.search.results.results import Results


@dataclass(frozen=True)
class Kept:
    """What is in a ledger.

    Attributes
    ----------
    path : Path
    record : Record
    results : Results
        Where the parameters cannot be read (another user, or another computer, has written what
        JSON cannot hold), its candidates have none.
    """

    path: Path
    record: Record
    results: Results

    @classmethod
    def of(cls, path: Path) -> Kept:
        """Read a ledger, which a search may be writing.

        Raises
        ------
        SearchError
            If there is none, or it is damaged.
        """
        found = record.read(path)
        candidates = found.candidates
        if candidates is None:
            number = 1 + max((candidate for candidate, _ in found.evaluations), default=-1)
            candidates = [Candidate({}, order) for order in range(number)]
        results = Results(candidates, len(found.header.splits))
        results.finished = found.evaluations
        return cls(path, found, results)

    @property
    def model(self) -> str:
        """The class of its model; "" where that cannot be read here."""
        objects = self.record.header.objects
        model = objects.get("model") if isinstance(objects, dict) else None
        return "" if model is None else type(model).__name__

    @property
    def seconds(self) -> float:
        """Seconds of all engines together that its evaluations took."""
        return float(self.results.took()[1].sum())


def merge(paths: Sequence[Path], out: Path) -> Kept:
    """Write what several ledgers of one search have into a new one, and return that.

    An evaluation that is in several of them is taken from the first.

    Parameters
    ----------
    out : Path
        A file that is not there yet. A search can be resumed from it as from the others.

    Raises
    ------
    SearchError
        If they are not of one search, or `out` is there.
    """
    if out.exists():
        raise SearchError(f"{out} is there already.", "Name another file for what is merged.")
    kept = [Kept.of(path) for path in paths]
    base = max(kept, key=lambda one: len(one.results.candidates))
    for one in kept:
        _check_alike(base, one)
    seen = set(base.record.evaluations)
    retried = {json.dumps(one.as_plain(), sort_keys=True) for one in base.record.retries}
    lines = [base.path.read_bytes()[: base.record.size]]
    for one in kept:
        new = one.record.evaluations.of(key for key in one.record.evaluations if key not in seen)
        seen.update(one.record.evaluations)
        added: list[dict[str, Any]] = [
            {"kind": "evaluation", **evaluation.as_plain()} for evaluation in new
        ]
        for retry in one.record.retries:
            text = json.dumps(retry.as_plain(), sort_keys=True)
            if text not in retried:
                retried.add(text)
                added.append({"kind": "retry", **retry.as_plain()})
        lines += [f"{record.in_json(line)}\n".encode() for line in added]
    files.make_parents(out)
    files.write_private(out, b"".join(lines))
    return Kept.of(out)


def _check_alike(base: Kept, one: Kept) -> None:
    """Refuse a ledger that is not of the same search as another."""
    mine, theirs = base.record.header, one.record.header
    if mine.question != theirs.question or mine.kind != theirs.kind:
        raise SearchError(
            f"{one.path} is not of the search that {base.path} is of.",
            "Searches are one if kind, model, grid and split files are; without --merge they are"
            " compared.",
        )
    if mine.origins != theirs.origins:
        raise SearchError(
            f"{one.path} is of other code or libraries than {base.path}.",
            "Their scores are not those of one model; without --merge they are compared.",
        )
    shorter = min(len(base.results.candidates), len(one.results.candidates))
    unlike = (
        base.results.candidates[:shorter] != one.results.candidates[:shorter]
        if base.record.candidates is not None and one.record.candidates is not None
        else mine.id != theirs.id
    )
    if unlike:
        raise SearchError(
            f"{one.path} has other candidates than {base.path}.",
            "They were drawn anew, or added as the results came: what is in the two are two"
            " searches.",
        )
