"""What a running search tells others: its file, its labels, and what is made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spotcluster import published
from spotcluster.search.data.candidates import Candidate
from spotcluster.search.data.evaluations import Evaluation, Key
from spotcluster.search.results import progress
from spotcluster.search.results.progress import Progress
from spotcluster.search.results.results import Results

MINE = published.controller_of(b"secret")


class Searching:
    """A search of three candidates on two splits."""

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        settings = [{"C": np.float64(c), **(params or {})} for c in (0.1, 1.0, 10.0)]
        self.results = Results([Candidate(one, n) for n, one in enumerate(settings)], 2)
        self.aborted: list[bool] = []
        self.looks = 0
        self.ranks = 0
        self.progress = Progress(
            *("abc", "GridSearch", Path("/l"), MINE, self.look, self.rank, self.describe),
            lambda: self.aborted.append(True),
        )

    def look(self) -> tuple[int, int, list[str]]:
        self.looks += 1
        return len(self.results), self.results.total, []

    def rank(self) -> Any:
        self.ranks += 1
        return self.results.ranking()

    def describe(self, key: Key) -> tuple[dict[str, Any], int]:
        return self.results.candidates[key[0]].params, key[1]

    def finish(self, candidate: int, split: int, score: float) -> None:
        self.results.add(Evaluation(candidate, split, score))


def said() -> dict[str, Any]:
    (found,) = published.read()
    return found


def test_file_says_how_far_the_search_is_and_who_leads() -> None:
    search = Searching()
    search.finish(1, 0, 0.9)
    search.finish(0, 0, 0.8)
    search.progress.pulse()
    found = said()
    assert (found["done"], found["total"], found["running"]) == (2, 6, True)
    assert [best["params"] for best in found["bests"]] == [{"C": 1.0}, {"C": 0.1}]
    assert found["bests"][0]["validation"] == 0.9
    assert found["bests"][0]["validation_error"] is None
    search.progress.end()
    assert not said()["running"]


def test_file_is_for_its_owner_only(spotcluster_home: Path) -> None:
    Searching().progress.pulse()
    (path,) = (spotcluster_home / "searches").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"secret" not in path.read_bytes()


def test_state_is_made_once_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    search = Searching()
    for _ in range(50):
        search.progress.pulse()
    assert search.looks == 1
    now += 1.01
    search.progress.pulse()
    assert search.looks == 2


def test_search_with_very_many_candidates_seldom_ranks_them_and_is_never_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    search = Searching()
    ranks = 0

    def slow() -> Any:
        nonlocal now, ranks
        now += 0.5
        ranks += 1
        return []

    search.progress._rank = slow
    for second in range(1, 90):
        search.progress.pulse()
        search.finish(second, 0, 0.5)  # there is always something new
        assert said()["done"] == second - 1
        now += 1.01
    assert ranks == 1
    now += 20
    search.progress.pulse()
    assert ranks == 2
    search.progress.end()
    assert ranks == 3, "the last state has the final ranking"


def test_leaders_were_shown_long_after_the_first_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranking nothing took its time too, after which nothing was ranked for long."""
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    search = Searching()

    def slow() -> Any:
        nonlocal now
        now += 0.5
        return search.results.ranking()

    search.progress._rank = slow
    search.progress.pulse()
    search.finish(1, 0, 0.9)
    now += 1.01
    search.progress.pulse()
    assert [best["params"] for best in said()["bests"]] == [{"C": 1.0}]


def test_search_without_news_says_so_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    monkeypatch.setattr(progress.time, "time", lambda: now)
    search = Searching()
    times = set()
    for _ in range(20):
        search.progress.pulse()
        times.add(said()["updated"])
        now += 1.0
    assert len(times) == 4


def test_what_json_does_not_have_is_text() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "x" * 500

    search = Searching({"nan": float("nan"), "f": Odd(), "n": np.int64(3), "none": None})
    search.finish(0, 0, float("nan"))
    search.progress.pulse()
    params = said()["bests"][0]["params"]
    assert params["nan"] == "nan"
    assert (params["n"], params["none"]) == (3, None)
    assert len(params["f"]) == 60
    label = json.loads(search.progress.label([(0, 1), (1, 0)]))
    assert (label["split"], label["evaluations"], label["params"]) == (1, 2, params)


def test_value_that_cannot_even_be_printed_leaves_out_the_label_and_not_the_search() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    search = Searching({"b": Broken()})
    search.finish(0, 0, 0.5)
    search.progress.pulse()
    assert search.progress.label([(0, 0)]) == ""


def test_full_disk_does_not_end_the_search(spotcluster_home: Path) -> None:
    (spotcluster_home / "searches").write_text("no folder")
    search = Searching()
    search.progress.pulse()
    search.progress.end()


def document(**more: Any) -> dict[str, Any]:
    return {
        "format": 1,
        "id": "abc",
        "kind": "GridSearch",
        "controller": MINE,
        "started": 900.0,
        "updated": 1000.0,
        "running": True,
        "done": 2,
        "total": 6,
        "per_second": None,
        "seconds_left": None,
        "bests": [],
        "remarks": [],
    } | more


def label(**more: Any) -> dict[str, Any]:
    return (
        {"search": "abc", "kind": "GridSearch", "started": 900.0, "done": 3, "total": 6}
        | {"best": {"validation": 0.9}}
        | more
    )


@pytest.mark.parametrize(
    ("given", "now", "state"),
    [
        (document(), 1003.0, "running"),
        (document(), 1100.0, "silent"),
        (document(running=False), 1003.0, "stopped"),
        (document(running=False, done=6), 1003.0, "finished"),
    ],
)
def test_state_of_a_search(given: dict[str, Any], now: float, state: str) -> None:
    (found,) = published.merged([given], [], MINE, now)
    assert found["state"] == state


def test_search_of_another_cluster_or_of_long_ago_is_not_shown() -> None:
    assert published.merged([document(controller="other")], [], MINE, 1000.0) == []
    assert published.merged([document(running=False)], [], MINE, 9000.0) == []


def test_search_that_runs_goes_before_those_that_have_ended() -> None:
    ended = document(id="old", running=False, done=6, updated=999.0)
    (found,) = published.merged([ended, document()], [], MINE, 1001.0)
    assert found["id"] == "abc"


def test_computer_without_the_file_knows_a_search_by_its_labels() -> None:
    latest, earlier = label(), label(done=1)
    (found,) = published.merged([], [latest, earlier], MINE, 1000.0)
    assert (found["done"], found["state"], found["bests"]) == (3, "running", [latest["best"]])


def test_file_that_is_alive_says_more_than_labels_and_a_silent_one_less() -> None:
    (found,) = published.merged([document()], [label()], MINE, 1001.0)
    assert found["done"] == 2
    (found,) = published.merged([document()], [label()], MINE, 1100.0)
    assert (found["done"], found["state"]) == (3, "running")


def test_lines_that_are_something_else_are_passed_over() -> None:
    text = f"\nnonsense\n[1]\n{json.dumps({'format': 99})}\n{json.dumps(document())}\n"
    assert [one["id"] for one in published.parse(text)] == ["abc"]


@pytest.mark.parametrize("name", ["../config", "a/b", "", ".", "a b"])
def test_search_whose_id_is_no_name_is_passed_over(name: str) -> None:
    """It names files, and whoever may write such a document says what it is."""
    Searching().progress.pulse()
    assert published.parse(json.dumps({**said(), "id": "abc"}))
    assert published.parse(json.dumps({**said(), "id": name})) == []


def test_search_is_told_once_that_another_process_wants_it_to_end() -> None:
    search = Searching()
    search.progress.pulse()
    assert search.aborted == []
    published.ask_to_end("abc")
    search.progress._next = 0.0
    search.progress.pulse()
    search.progress._next = 0.0
    search.progress.pulse()
    assert search.aborted == [True]


def test_name_of_a_search_that_leads_elsewhere_writes_no_file(spotcluster_home: Path) -> None:
    with pytest.raises(ValueError, match="no search"):
        published.ask_to_end("../config")
    assert not (spotcluster_home / "config.abort").exists()
