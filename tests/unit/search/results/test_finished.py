"""A million evaluations in columns say what one at a time would."""

from __future__ import annotations

import base64
import json
import math
import pickle
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import Candidate
from spotcluster.search.data.evaluations import Evaluation, Retry
from spotcluster.search.results import record as ledgers
from spotcluster.search.results.finished import Finished
from spotcluster.search.results.ledger import Ledger
from spotcluster.search.results.record import Header
from spotcluster.search.results.results import Results

HEADER = Header(id="abc", kind="GridSearch", question="q", settings={}, splits=[])
ODD = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e308, 0.1, 2**53 + 1, 0, 1, True]
numbers = st.floats() | st.sampled_from(ODD)
texts = st.text() | st.just(
    'Traceback (most recent call last):\n  "ä"\u2028\nValueError: {"float": '
)
named = st.dictionaries(st.sampled_from(["a", "ü", "float"]), numbers, max_size=3)
some_evaluations = st.builds(
    Evaluation,
    candidate=st.integers(0, 5),
    split=st.integers(0, 3),
    test_score=numbers,
    train_score=st.none() | numbers,
    fit_time=numbers,
    score_time=numbers,
    error=st.just("") | texts,
    killed=st.booleans(),
    node=st.sampled_from(["", "node001", "日本"]),
    engine=st.none() | st.integers(0, 3),
    uuid=st.none() | st.text(max_size=2),
    pid=st.none() | st.integers(),
    started=numbers,
    ended=numbers,
    test_scores=named,
    train_scores=named,
    failed_in=st.sampled_from(["", "fit", "score"]),
    warned=st.lists(st.tuples(texts, st.integers()).map(list), max_size=2),
    fit_times=named,
    score_times=named,
)
LACKING = list(Evaluation(0, 0, 0.5).as_plain())[3:]  # what a line may be without
written = st.one_of(
    st.builds(
        lambda one, lacking: {
            "kind": "evaluation",
            **{name: value for name, value in one.as_plain().items() if name not in lacking},
        },
        some_evaluations,
        st.sets(st.sampled_from(LACKING), max_size=3) | st.just(set(LACKING)),
    ),
    st.builds(Retry, st.integers(0, 9), st.integers(0, 9), texts, at=numbers).map(
        lambda one: {"kind": "retry", **one.as_plain()}
    ),
    st.just({"kind": "accepted", "at": 1.0, "changes": [], "code": {}, "versions": {"ü": "1"}}),
    st.lists(
        st.dictionaries(st.sampled_from(["C", "ö"]), texts | numbers | st.just(np.float64(0.25))),
        max_size=3,
    ).map(
        lambda params: ledgers.candidates_line(
            "abc", [Candidate(one, order) for order, one in enumerate(params)]
        )
    ),
)
DAMAGED: list[Any] = [
    {"kind": "evaluation", "candidate": 0, "split": 0},
    {"kind": "evaluation", "candidate": 0, "test_score": 0.5},
    {"kind": "evaluation", "candidate": 0, "split": 0, "test_score": 0.5, "unknown": 1},
    {"kind": "evaluation", "candidate": 0, "split": 0, "test_score": 0.5, "calls": "x"},
    {"kind": "evaluation", "candidate": 0, "split": None, "test_score": 0.5},
    {"kind": "evaluation", "candidate": [], "split": 0, "test_score": 0.5},
    {"kind": "evaluation", "candidate": 0, "split": 0, "test_score": 0.5, "node": []},
    {"kind": "unknown"},
    {"candidate": 0, "split": 0, "test_score": 0.5},
    {"kind": "retry", "candidate": 0},
    {"kind": "candidates", "params": [{}], "orders": [1]},
    [],
    None,
    "evaluation",
]


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)  # nan is not equal to itself; -0.0, 1 and 1.0 are told apart


def in_a_line(item: Any, how: str) -> bytes:
    if how == "ours":
        return f"{ledgers.in_json(item)}\n".encode()
    return f"{json.dumps(item, ensure_ascii=how == 'ascii')}\n".encode(errors="surrogatepass")


def one_by_one(
    lines: list[bytes],
) -> tuple[dict[Any, Evaluation], list[Retry], list[Candidate], int]:
    """Read lines as they are meant; return also how many bytes there are before damage."""
    found: dict[Any, Evaluation] = {}
    retries: list[Retry] = []
    tried: list[Candidate] = []
    size = 0
    for line in lines:
        try:
            if not line.endswith(b"\n"):
                break
            item = json.loads(line, object_hook=_as_number)
            kind = item.pop("kind")
            if kind == "evaluation":
                if item.keys() & {"calls", "exception"}:
                    break
                one = Evaluation(**item)
                assert hash((one.candidate + 0, one.split + 0, *_who(one))) is not None
                found.setdefault(one.key, one)
            elif kind == "retry":
                retries.append(Retry(**item))
            elif kind == "candidates":
                params = item.get("params")
                if params is None:
                    params = pickle.loads(base64.b64decode(item["pickle"]))
                more = zip(params, item["orders"], item["part"], item["more"], strict=True)
                tried += [Candidate(one, order, None, rest) for one, order, _, rest in more]
            elif kind != "accepted":
                break
        except (ValueError, TypeError, KeyError, AttributeError):
            break
        size += len(line)
    return found, retries, tried, size


def _who(one: Evaluation) -> tuple[Any, ...]:
    return one.node, one.engine, one.uuid, one.pid


def _as_number(item: dict[str, Any]) -> Any:
    if item.keys() == {"float"} and item["float"] in ("nan", "inf", "-inf"):
        return float(item["float"])
    return item


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(written, st.sampled_from(["ours", "ascii", "as it is"])), max_size=12),
    st.none() | st.tuples(st.integers(0, 12), st.sampled_from(DAMAGED)),
    st.integers(0, 10**6) | st.just(0),
    st.sampled_from([1, 300, 10**6]),
)
def test_lines_read_together_say_what_they_say_one_by_one(
    tmp_path: Path, items: list[Any], damage: Any, cut: int, at_once: int
) -> None:
    path = tmp_path / "ledger"
    path.unlink(missing_ok=True)
    Ledger.create(path, HEADER).close()
    header = path.read_bytes()
    lines = [in_a_line(*one) for one in items]
    if damage is not None:
        lines.insert(damage[0], in_a_line(damage[1], "ascii"))
    text = b"".join(lines)
    text = text[: len(text) - cut % (len(text) + 1)]
    lines = text.splitlines(keepends=True)
    path.write_bytes(header + text)
    found, retries, tried, size = one_by_one(lines)
    with patch.object(ledgers, "_AT_ONCE", at_once):
        if size < len(b"".join(lines[:-1])):
            number = 2 + text[:size].count(b"\n")
            with pytest.raises(SearchError, match=f"^Line {number} of the ledger"):
                ledgers.read(path)
            return
        record = ledgers.read(path)
    assert same(list(record.evaluations.items()), list(found.items()))
    assert same(record.retries, retries)
    assert same(record.candidates, tried)
    assert record.size == len(header) + size


@given(st.lists(some_evaluations, max_size=9))
def test_what_engines_have_told_is_given_back_as_it_was(items: list[Evaluation]) -> None:
    kept = [replace(one, exception=b"e", calls=b"c") if one.error else one for one in items]
    first = {one.key: one for one in reversed(kept)}
    finished = Finished()
    half = len(kept) // 2
    taken = finished.add(*kept[:half]) + sum(finished.add(one) for one in kept[half:])
    assert taken == len(finished) == len(first)
    assert same(dict(finished), {key: first[key] for key in finished})
    assert list(finished) == list(dict.fromkeys(one.key for one in kept))
    assert same(finished.since(2), list(finished.values())[2:])
    for one in finished.values():
        assert (one.exception, one.calls) == ((b"e", b"c") if one.error else (None, None))
    for name in ("error", "warned", "test_scores"):
        having = [one for one in finished.values() if getattr(one, name)]
        assert same(finished.having(name), having)
    nodes = Counter(one.node for one in finished.values() if one.node)
    assert list(finished.per_node().items()) == sorted(nodes.items())


@pytest.mark.parametrize("score", [np.float64(0.5), np.float32(0.5), 1, True])
def test_a_score_keeps_its_kind(score: Any) -> None:
    finished = Finished()
    finished.add(
        Evaluation(0, 0, 0.25, train_score=0.75), Evaluation(0, 1, score, train_score=score)
    )
    assert type(finished[0, 1].test_score) is type(finished[0, 1].train_score) is type(score)
    assert finished.column("test_score").tolist() == [0.25, float(score)]
    assert type(finished[0, 0].test_score) is float


@pytest.mark.parametrize(
    "damage",
    [*DAMAGED, {"kind": "evaluation", "candidate": 2**80, "split": 0, "test_score": 0.5}],
    ids=str,
)
def test_a_line_that_says_what_no_search_writes_is_damaged(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "ledger"
    book = Ledger.create(path, HEADER)
    book.append([Evaluation(0, 0, 0.5), Evaluation(0, 1, 0.5)])
    book.close()
    whole = path.read_bytes()
    path.write_bytes(whole + in_a_line(damage, "ascii"))
    assert len(ledgers.read(path).evaluations) == 2
    assert ledgers.read(path).size == len(whole)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(SearchError, match=r"Line 4 .* is damaged"):
        ledgers.read(path)


# --- ranks and table ------------------------------------------------------------------------------

scores = st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 0.0, 0.5, 0.1, 1 / 3])
candidates = st.builds(
    Candidate,
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([1, 2.5, "x", None, True, (1, 2), [3], np.float64(4.0)]),
    ),
    st.integers(0, 3),
    more=st.fixed_dictionaries({}, optional={"iter": st.integers(0, 2), "other": texts}),
)


@settings(deadline=None)
@given(
    st.lists(candidates, min_size=1, max_size=6),
    st.lists(
        st.builds(
            Evaluation,
            candidate=st.integers(0, 7),
            split=st.integers(0, 3),
            test_score=scores,
            train_score=st.none() | scores,
            fit_time=st.floats(0, 9),
            error=st.sampled_from(["", "", "no"]),
            test_scores=st.sampled_from([{}, {}, {"m": 0.5}, {"m": 0.25, "n": math.nan}]),
            train_scores=st.sampled_from([{}, {"m": 0.125}]),
        ),
        max_size=20,
    ),
    st.sets(st.integers(0, 9)),
)
@example([Candidate({}, 0)], [], set())
def test_ranking_and_table_are_those_of_one_evaluation_after_the_other(
    tried: list[Candidate], done: list[Evaluation], infeasible: set[int]
) -> None:
    results = Results(tried, 3)
    results.add(*done)
    results.infeasible = infeasible
    first = {one.key: one for one in reversed(done)}
    mine = [[first[n, k] for k in range(3) if (n, k) in first] for n in range(len(tried))]

    def rank(number: int) -> Any:
        with np.errstate(invalid="ignore"):
            mean = float(np.mean([one.test_score for one in mine[number]]))
        candidate, nan = tried[number], math.isnan(mean)
        later = -int(candidate.more.get("iter", 0))
        return number in infeasible, later, nan, 0.0 if nan else -mean, candidate.order

    ranked = sorted((n for n in range(len(tried)) if mine[n]), key=rank)
    ranking = results.ranking()
    assert [best.candidate for best in ranking] == ranked
    figures = {name: column[ranked] for name, column in results.figures().items()}
    for name, attribute in (
        ("mean_test_score", "validation"),
        ("test_score_error", "validation_error"),
        ("mean_train_score", "train"),
        ("train_score_error", "train_error"),
        ("finished", "finished"),
        ("splits", "splits"),
    ):
        expected = [getattr(best, attribute) for best in ranking]
        np.testing.assert_allclose(figures[name], expected, rtol=1e-12)
    failed = [sum(bool(one.error) for one in mine[n]) for n in ranked]
    assert figures["failed"].tolist() == failed
    fitting = [sum(one.fit_time for one in mine[n]) / len(mine[n]) for n in ranked]
    np.testing.assert_allclose(figures["mean_fit_time"], fitting, rtol=1e-12)
    assert results.unfinished() == [
        (n, k) for n in range(len(tried)) for k in range(3) if (n, k) not in first
    ]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        table = results.table()
    whole = [n for n in range(len(tried)) if len(mine[n]) == 3]
    assert table["params"] == [tried[n].params for n in whole]
    for metric in results.metrics() or ["score"]:
        for kind in ("test", "train"):
            for split in range(3):
                column = table.get(f"split{split}_{kind}_{metric}")
                expected = [_score(mine[n][split], kind, metric) for n in whole]
                assert column is None or same(column.tolist(), expected)
    trained = any(one.train_score is not None for n in whole for one in mine[n])
    assert trained == any(name.startswith("mean_train_") for name in table)
    for name in {name for n in whole for name in tried[n].params}:
        column = table[f"param_{name}"]
        has = [name in tried[n].params for n in whole]
        assert (~np.ma.getmaskarray(column)).tolist() == has
        values = [tried[n].params[name] for n in whole if name in tried[n].params]
        assert column.compressed().tolist() == values


def _score(one: Evaluation, kind: str, metric: str) -> float:
    named, score = getattr(one, f"{kind}_scores"), getattr(one, f"{kind}_score")
    if named:
        return float(named.get(metric, math.nan))
    return math.nan if score is None else score
