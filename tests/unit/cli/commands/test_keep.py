"""What the flags of `keep` come to."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from spotcluster.api import keeping
from spotcluster.cli.context import Context
from spotcluster.cli.main import run
from spotcluster.cluster.lifecycle.keeping import on_master
from spotcluster.cluster.lifecycle.keeping.decision import Rules
from spotcluster.cluster.lifecycle.keeping.observation import Over
from spotcluster.config.names import MOST_NODES


class Asked:
    """What was asked for, of a cluster that there is not."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        template = SimpleNamespace(target_seconds=600.0)
        self.record = SimpleNamespace(template=template, keeps_itself=False)
        self.cluster = SimpleNamespace(record=self.record, region="r", session=None, name="c")
        self.over = Over("'c' has the nodes that it should, 2.")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    made = Asked()

    def note(name: str, answer: Any = None) -> Any:
        def called(_: Any, *more: Any) -> Any:
            made.calls.append((name, *more))
            return answer

        return called

    class Keeper:
        def __init__(self, rules: Rules, *_: Any, hook: Any, once: bool) -> None:
            made.calls.append(("keeper", rules, once))

        def run(self, *_: Any) -> Over:
            return made.over

    monkeypatch.setattr(Context, "cluster", lambda *_, **__: made.cluster)
    monkeypatch.setattr(keeping, "Keeper", Keeper)
    monkeypatch.setattr(keeping, "Observation", nullcontext)
    monkeypatch.setattr(on_master, "set_rules", note("set_rules"))
    monkeypatch.setattr(on_master, "end", note("end"))
    monkeypatch.setattr(on_master, "log", note("log", "12:00  node003 is ready\n"))
    return made


@pytest.mark.parametrize(
    ("words", "rules"),
    [
        ((), Rules(target=600)),
        (("--min", "2", "--max", "5"), Rules(2, 5, 600)),
        (("-n", "2", "-m", "5"), Rules(2, 5, 600)),
        (("--min", "3", "--target", "2", "--idle", "1"), Rules(3, None, 120, 60)),
        (("--max", "9", "-s", "7", "-a", "4"), Rules(None, 9, 600, 300, 7, 4)),
    ],
)
@pytest.mark.parametrize("on", [True, False])
def test_master_and_this_computer_keep_by_the_same_rules(
    asked: Asked, words: tuple[str, ...], rules: Rules, on: bool
) -> None:
    assert run(["keep", *words, *(["--on-master"] if on else []), "c"]) == 0
    assert asked.calls == [("set_rules", rules) if on else ("keeper", rules, False)]


def test_status_says_whether_it_ended_as_it_should(asked: Asked) -> None:
    assert run(["keep", "--once", "c"]) == 0
    assert asked.calls[-1][-1] is True
    asked.over = Over("The master of 'c' is gone.", by_will=False)
    assert run(["keep", "--once", "c"]) == 1


def test_off_ends_what_the_master_does_and_nothing_else(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keep", "--off", "c"]) == 0
    assert asked.calls == [("end",)]
    assert "does not keep its size any more" in capsys.readouterr().out


def test_log_is_what_the_master_has_said_and_changes_nothing(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    asked.record.keeps_itself = True
    assert run(["keep", "--log", "c"]) == 0
    assert asked.calls == [("log",)]
    assert capsys.readouterr().out == "12:00  node003 is ready\n"


def test_two_do_not_keep_one_cluster(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    asked.record.keeps_itself = True
    assert run(["keep", "c"]) == 1
    assert "keeps its size already" in capsys.readouterr().err
    assert run(["keep", "--on-master", "--max", "4", "c"]) == 0  # other rules for the same one
    assert asked.calls == [("set_rules", Rules(None, 4, 600))]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--min", "3", "--max", "2"), "--min 3 is more than --max 2"),
        (("--min", "0"), "--min"),
        (("--max", "0"), "--max"),
        (("--max", str(MOST_NODES + 1)), "more than any account may have"),
        (("--min", str(MOST_NODES + 1)), "more than any account may have"),
        (("--log", "--off"), "do not go together"),
        (("--on-master", "--off"), "do not go together"),
        (("--on-master", "--log"), "do not go together"),
        (("--on-master", "--once"), "do not go together"),
        (("--target", "0"), "--target"),
    ],
)
def test_flags_that_make_no_sense_are_refused_before_anything_is_asked(
    asked: Asked, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert run(["keep", *words, "c"]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert asked.calls == []
