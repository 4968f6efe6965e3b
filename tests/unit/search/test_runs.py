"""What a run makes of what engines have told."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from spotcluster.search.data.evaluations import Evaluation
from spotcluster.search.engine.fit import pickled
from spotcluster.search.runs import error_of


def local(*bases: type, **members: Any) -> Any:
    return type("Local", bases or (ValueError,), members)


class Wants(RuntimeError):
    def __init__(self, code: int, where: Any) -> None:
        super().__init__(f"{code} in {where}")
        self.code, self.where = code, where


def locked() -> Exception:
    error = local(KeyError)("a", threading.Lock())
    error.of, error.lock = "b", threading.Lock()
    return error


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("not today"), local()("of a function"), Wants(3, "x"), local(Wants)(1, 2)],
)
def test_an_exception_lost_its_class(error: Any) -> None:
    again = error_of(Evaluation(0, 0, 0.0, error="text", exception=pickled(error)))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert {**vars(again), "__notes__": None} == {**vars(error), "__notes__": None}


def test_what_cannot_be_sent_of_an_exception_is_left_out() -> None:
    error: Any = locked()
    again: Any = error_of(Evaluation(0, 0, 0.0, error="text", exception=pickled(error)))
    assert type(again) is type(error)
    assert again.args[0] == "a"
    assert "lock object" in again.args[1]
    assert again.of == "b"
    assert not hasattr(again, "lock")
    hidden = local(OSError, lock=threading.Lock())("gone")
    last = error_of(Evaluation(0, 0, 0.0, error="text", exception=pickled(hidden)))
    assert type(last) is OSError
    assert last.args == ("gone",)
