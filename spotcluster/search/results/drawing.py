"""What the pictures of a search have in common: colours, titles, labels that stay inside."""

from __future__ import annotations

import functools
import importlib
import math
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from spotcluster.errors import SearchError
from spotcluster.search.data.candidates import in_words
from spotcluster.search.results.subject import Subject

VALIDATION, TRAIN, WRONG, QUIET = "#1f6feb", "#e8590c", "#d1242f", "#8c959f"
WIDTH = 9.0  # inches
LABEL = 24  # characters
_LINE = 88  # characters of a title or a legend that are sure to fit into the width
_NAMED = 4  # values that failed


def pyplot() -> Any:
    """Return matplotlib's pyplot.

    Raises
    ------
    SearchError
        It is not installed.
    """
    try:
        return importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise SearchError(
            "Plots need matplotlib, which is not installed here.", "Run: pip install matplotlib"
        ) from error


def subplots(*shape: int, **how: Any) -> tuple[Any, Any]:
    """Return a new figure and its axes; a notebook shows it once."""
    figure, axes = pyplot().subplots(*shape, layout="constrained", **how)
    figure._ipython_display_ = functools.partial(_is_shown, figure)
    return figure, axes


def _is_shown(figure: Any) -> None:
    """Have a figure that is a cell's value not be shown again at the end of the cell.

    There a notebook shows all figures that pyplot knows, whoever has shown them before.
    """
    plt = pyplot()
    if "inline" in plt.get_backend():
        plt.close(figure)
    raise NotImplementedError  # which tells IPython to show it as it shows any figure


def nothing() -> SearchError:
    """Return the error of a picture without anything on it."""
    return SearchError("There is nothing to plot yet: no evaluation is finished.")


def title(figure: Any, what: str, subject: Subject) -> None:
    """Put above a figure what it shows, and of what."""
    lines = [what, *textwrap.wrap(subject.title, _LINE)]
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize="medium")


def legend(figure: Any, *axes: Any) -> None:
    """Put the legend of some axes below them all, where it covers nothing."""
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault("\n".join(textwrap.wrap(label, _LINE)), handle)
    columns, longest = 1, max(map(len, found), default=0)
    if longest and len(found) * (longest + 6) <= _LINE:
        columns = len(found)
    elif longest + 6 <= _LINE // 2:
        columns = 2
    figure.legend(
        *(list(found.values()), list(found)),
        loc="outside lower left",
        ncols=columns,
        frameon=False,
        fontsize="small",
    )


def quiet(axis: Any, grid: str = "y") -> None:
    """Leave out what says nothing."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis=grid, alpha=0.3, linewidth=0.6)
    axis.set_axisbelow(True)


def name_ticks(axis: Any, places: Sequence[float], names: Sequence[str], columns: int = 1) -> None:
    """Name places on the x axis, aslant where the names would run into each other."""
    axis.set_xticks(places, names)
    longest = max(len(line) for name in names for line in name.split("\n"))
    if longest * len(names) > 60 // columns:
        axis.tick_params(axis="x", labelrotation=45)
        for label in axis.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")


def mark_failures(axis: Any, parameter: str, values: Sequence[float]) -> None:
    """Mark numbers at the foot of the axis for which every evaluation failed, and name them."""
    if not values:
        return
    names = ", ".join(text(value) for value in values[:_NAMED])
    more = f" and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
    axis.plot(
        *(values, [0.025] * len(values), "x"),
        transform=axis.get_xaxis_transform(),
        color=WRONG,
        mew=1.8,
        label=f"every evaluation failed: {parameter}={names}{more}",
    )


def scale(axis: Any, values: Sequence[float]) -> None:
    """Give numbers that span decades a logarithmic axis."""
    if len(values) > 2 and values[0] > 0 and values[-1] / values[0] >= 50:
        axis.set_xscale("log")


def say_at(axis: Any, said: str, x: float, y: float, width: int = 56) -> None:
    """Write above a point, which is the highest one, within the axes and however long it is."""
    lines = textwrap.wrap(said, width, max_lines=5, placeholder=" ...")
    figure = axis.figure
    low, high = axis.get_ylim()
    room = (0.16 * len(lines) + 0.2) / (0.6 * figure.get_figheight())  # of the axes
    axis.set_ylim(low, max(high, y + (high - low) * room / (1 - room)))
    note = axis.annotate(
        "\n".join(lines),
        (x, y),
        xytext=(0, 8),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize="small",
    )
    figure.draw_without_rendering()  # where it comes to stand is not known before
    box, inside = note.get_window_extent(), axis.get_window_extent()
    shift = max(0.0, inside.x0 + 4 - box.x0) or min(0.0, inside.x1 - 4 - box.x1)
    note.xyann = (shift * 72 / figure.dpi, 8)


def text(value: Any) -> str:
    """Return the value of a parameter in full."""
    return in_words(value, sys.maxsize)


def short(texts: Iterable[Any]) -> list[str]:
    """Return short labels for different values, which stay different."""
    labels: list[str] = []
    for one in map(str, texts):
        label = one if len(one) <= LABEL else one[: LABEL - 3] + "..."
        again = sum(other.partition(" (")[0] == label for other in labels)
        labels.append(f"{label} ({again + 1})" if again and label != one else label)
    return labels


def finite(scores: Iterable[Any]) -> list[float]:
    """Return those that are numbers."""
    return [float(score) for score in scores if math.isfinite(score)]


def time_unit(seconds: float) -> tuple[float, str]:
    """Return the unit in which so long a time is told, in seconds, and its name."""
    if seconds < 180:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 3 * 3600 else (3600.0, "hours")
