"""Options that several commands have."""

from __future__ import annotations

from typing import Any

import click

from spotcluster import wording

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
yes_option = click.option("-y", "--yes", "-c", "--confirm", is_flag=True, help="Do not ask.")


class _Usd(click.types.FloatParamType):
    """An amount of money; who writes decimals with a comma is told how they are written here."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, str) and (instead := wording.without_comma(value)):
            self.fail(f"'{value}' is not a number: write {instead}.", param, ctx)
        return float(super().convert(value, param, ctx))


USD = _Usd()
