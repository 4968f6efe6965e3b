"""Warnings of engines, given again."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from sklearn.exceptions import ConvergenceWarning

from spotcluster.search.data.evaluations import Evaluation
from spotcluster.search.outcome import MOST_WARNINGS, plain_filters, warn_again

USER = ("builtins", "UserWarning")


class TwoArguments(UserWarning):
    """Cannot be made of a text."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first, second)


def said(*warned: list[Any]) -> list[tuple[type[Warning], str]]:
    evaluations = [
        Evaluation(0, split, 0.5, warned=list(some)) for split, some in enumerate(warned)
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_again(evaluations, len(evaluations))
    return [(item.category, str(item.message)) for item in caught]


def test_the_same_text_is_told_once_and_counted() -> None:
    mine = ("sklearn.exceptions", "ConvergenceWarning")
    found = said([[[mine, USER], "late", 2]], [], [[[mine, USER], "late", 1], [[USER], "early", 1]])
    assert found == [
        (ConvergenceWarning, "late\n(Warned of 3 times on engines, in 2 of 3 evaluations.)"),
        (UserWarning, "early\n(Warned of once on engines, in 1 of 3 evaluations.)"),
    ]
    assert said([], []) == []


@pytest.mark.parametrize(
    "name",
    [
        ("no.such.module", "Warning"),
        ("sklearn.exceptions", "NoSuchWarning"),
        ("builtins", "len"),
        ("builtins", "ValueError"),
        (TwoArguments.__module__, "TwoArguments"),
    ],
)
def test_a_category_that_is_not_here_is_its_base(name: tuple[str, str]) -> None:
    ((category, _),) = said([[[name, ("builtins", "RuntimeWarning"), USER], "odd", 1]])
    assert category is RuntimeWarning


def test_there_is_an_end_to_it() -> None:
    found = said([[[USER], f"text {number}", 1] for number in range(MOST_WARNINGS + 7)])
    assert len(found) == MOST_WARNINGS + 1
    assert "warned of 7 more things" in found[-1][1]


def test_filters_are_told_in_plain_words() -> None:
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("error", (ConvergenceWarning, RuntimeWarning))
        warnings.filterwarnings("ignore", "some.*", DeprecationWarning, "mine", 3)
        assert plain_filters() == [
            ("ignore", "some.*", ("builtins", "DeprecationWarning"), "mine", 3),
            ("error", None, ("sklearn.exceptions", "ConvergenceWarning"), None, 0),
            ("error", None, ("builtins", "RuntimeWarning"), None, 0),
        ]
