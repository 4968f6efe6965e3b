"""results: what is in the ledgers of searches."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spotcluster import files, wording
from spotcluster.cli import output
from spotcluster.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spotcluster.search.results.kept import Kept
    from spotcluster.search.results.results import Best

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    epilog="""\b
Examples:
  spotcluster results digits.ledger                      the best ten
  spotcluster results --csv digits.csv digits.ledger     all candidates, for a spreadsheet
  spotcluster results --by evaluation --parquet digits.parquet digits.ledger
  spotcluster results monday.ledger tuesday.ledger       side by side
  spotcluster results --merge whole.ledger laptop.ledger cluster.ledger
"""
)
@click.option(
    "-n",
    "--top",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="How many of the best candidates to show.",
)
@click.option(
    "--by",
    type=click.Choice(["candidate", "evaluation"]),
    default="candidate",
    show_default=True,
    help="What has a row in a file that is written.",
)
@click.option("--csv", "csv", type=_FILE, metavar="FILE", help="Write the table as CSV.")
@click.option(
    "--parquet", type=_FILE, metavar="FILE", help="Write it as Parquet; needs the extra `parquet`."
)
@click.option(
    "--merge",
    type=_FILE,
    metavar="FILE",
    help="Write what ledgers of one search have into this new one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what is shown as JSON.")
@click.argument("ledgers", nargs=-1, required=True, type=_FILE, metavar="LEDGER...")
def results(
    ledgers: tuple[Path, ...],
    *,
    top: int,
    by: str,
    csv: Path | None,
    parquet: Path | None,
    merge: Path | None,
    as_json: bool,
) -> None:
    """Show what searches have found, by their ledgers; export, merge or compare it.

    A ledger may be of a search that is running.
    """
    from spotcluster.search.results import kept, rows

    for ledger in ledgers:
        if not ledger.exists():
            raise UsageError(
                f"There is no ledger {ledger}.",
                "A search says where its own is (`search.ledger`); where none was named, it is in"
                f" {files.private_dir('searches')}.",
            )
    found = [kept.merge(ledgers, merge)] if merge else [kept.Kept.of(path) for path in ledgers]
    if (csv or parquet) and len(found) > 1:
        raise click.UsageError("One table is of one ledger; --merge makes one of several.")
    if csv or parquet:
        made = rows.candidate_rows if by == "candidate" else rows.evaluation_rows
        table = made(found[0].results)
        for path, write in ((csv, rows.write_csv), (parquet, rows.write_parquet)):
            if path:
                write(path, table)
                output.err.print(output.Text(f"Wrote {len(table)} rows to {path}."))
    if as_json:
        output.document([_told(one, top) for one in found])
    elif len(found) > 1:
        _compare(found)
    elif not (csv or parquet):
        _show(found[0], top)


def _show(one: Kept, top: int) -> None:
    bests = one.results.ranking()[:top]
    names = sorted({name for best in bests for name in best.params})
    trained = any(not math.isnan(best.train) for best in bests)
    columns = ["rank", "validation", *(["train"] if trained else []), "splits", *names]
    shown = [
        [
            str(rank),
            _score(best.validation, best.validation_error),
            *([_score(best.train, best.train_error)] if trained else []),
            f"{best.finished} of {best.splits}",
            *(_value(best, name) for name in names),
        ]
        for rank, best in enumerate(bests, start=1)
    ]
    output.table(f"{one.path}: {_summary(one)}", columns, shown)
    if one.record.candidates is None:
        output.err.print("Its parameters cannot be read here: another user or computer wrote them.")


def _compare(found: Sequence[Kept]) -> None:
    bests = [next(iter(one.results.bests(1)), None) for one in found]
    names = sorted({name for best in bests if best for name in best.params})
    columns = ["ledger", "search", "done", "failed", "engine time", "best", *names]
    shown = [
        [
            str(one.path),
            _of(one),
            f"{len(one.results)} of {one.results.total}",
            str(len(one.results.finished.seldom("error"))),
            wording.duration(one.seconds, tenths=True),
            _score(best.validation, best.validation_error) if best else "none",
            *(_value(best, name) if best else "" for name in names),
        ]
        for one, best in zip(found, bests, strict=True)
    ]
    output.table("", columns, shown)


def _summary(one: Kept) -> str:
    started = one.results.finished.column("started")
    began = float(started[started > 0].min()) if (started > 0).any() else None
    at = f", begun {datetime.fromtimestamp(began).astimezone():%Y-%m-%d %H:%M}" if began else ""
    failed = len(one.results.finished.seldom("error"))
    lost = sum(retry.lost for retry in one.record.retries)
    return (
        f"{_of(one)}, {len(one.results)} of {one.results.total} evaluations, {failed} failed,"
        f" {lost} run again, {wording.duration(one.seconds, tenths=True)} of engines{at}"
    )


def _of(one: Kept) -> str:
    kind = one.record.header.kind
    return f"{kind} of {one.model}" if one.model else kind


def _told(one: Kept, top: int) -> dict[str, Any]:
    return {
        "ledger": str(one.path),
        "search": one.record.header.kind,
        "model": one.model,
        "id": one.record.header.id,
        "splits": one.results.n_splits,
        "candidates": len(one.results.candidates),
        "evaluations": len(one.results),
        "total": one.results.total,
        "failed": len(one.results.finished.seldom("error")),
        "run_again": sum(retry.lost for retry in one.record.retries),
        "seconds": one.seconds,
        "per_node": one.results.finished.per_node(),
        "best": [
            {
                "candidate": best.candidate,
                "params": {name: _plain(value) for name, value in best.params.items()},
                "validation": _known(best.validation),
                "validation_error": _known(best.validation_error),
                "train": _known(best.train),
                "finished": best.finished,
            }
            for best in one.results.ranking()[:top]
        ],
    }


def _value(best: Best, name: str) -> str:
    from spotcluster.search.data.candidates import in_words

    return in_words(best.params[name]) if name in best.params else ""


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _known(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _score(mean: float, error: float) -> str:
    return f"{mean:.5f}" + ("" if math.isnan(error) else f" (+/-{error:.5f})")
