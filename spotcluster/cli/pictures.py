"""Pictures of what tables cannot show."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spotcluster import files
from spotcluster.errors import UsageError

if TYPE_CHECKING:
    from spotcluster.aws.prices import ZoneHistory


def check_picture(path: Path) -> None:
    """Refuse a file name that says no kind of picture, or whose folder is not there.

    Raises
    ------
    UsageError
        It does, or matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise UsageError(
            "Pictures need matplotlib, which is not installed.",
            'Install it with `pip install "spotcluster[plot]"`.',
        ) from None
    mpl.use("agg")  # no window: there may be no screen
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UsageError(f"'{path}' is no picture.", "Name a file that ends with .png or .svg.")
    if not path.parent.is_dir():
        raise UsageError(f"The folder {path.parent} of '{path.name}' does not exist.")


def own_file(name: str) -> Path:
    """Return where a picture goes that the user has named no file for."""
    return files.private_dir("pictures") / f"{name}.png"


def show(path: Path) -> bool:
    """Open a picture in the desktop's viewer; return whether there is a desktop."""
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return False
    return click.launch(str(path)) == 0


def spot_prices(
    path: Path,
    region: str,
    found: Mapping[str, Sequence[ZoneHistory]],
    days: float,
    on_demand: Mapping[str, float | None],
) -> None:
    """Draw the spot prices of each type and zone over time into a file, beside that on demand."""
    import matplotlib.pyplot as plt

    figure = price_figure(region, found, days, on_demand)
    aside = path.with_name(f".{path.stem}.new{path.suffix}")
    figure.savefig(aside, dpi=120)
    aside.replace(path)
    plt.close(figure)


def price_figure(
    region: str,
    found: Mapping[str, Sequence[ZoneHistory]],
    days: float,
    on_demand: Mapping[str, float | None],
) -> Any:
    """Return the picture of it."""
    import matplotlib.pyplot as plt

    now = datetime.now(UTC)
    places = sorted({one.zone for zones in found.values() for one in zones})
    colours = {zone: f"C{number % 10}" for number, zone in enumerate(places)}  # the same in each
    figure, axes = plt.subplots(
        *(len(found), 1),
        sharex=True,
        squeeze=False,
        figsize=(9, 1 + 2.6 * len(found)),
        layout="constrained",
    )
    for axis, (name, zones) in zip(axes[:, 0], found.items(), strict=True):
        for one in sorted(zones, key=lambda one: one.zone):
            times = [*(when for when, _ in one.changes), now]
            prices = [*(price for _, price in one.changes), one.current]
            axis.step(
                *(times, prices),
                where="post",
                label=one.zone,
                linewidth=1.3,
                color=colours[one.zone],
            )
        if fixed := on_demand.get(name):
            axis.axhline(fixed, color="black", linestyle="--", linewidth=1, label="on demand")
        axis.set_title(name, loc="left", fontsize=11)
        axis.set_ylabel("USD per hour")
        axis.set_ylim(bottom=0)
        axis.grid(visible=True, alpha=0.3)
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    figure.autofmt_xdate()
    figure.suptitle(
        f"Spot prices in {region}, last {days:g} days, and the price on demand", x=0.02, ha="left"
    )
    return figure
