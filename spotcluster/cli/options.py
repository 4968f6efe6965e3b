"""Options that several commands have."""

from __future__ import annotations

import click

yes_option = click.option("-y", "--yes", "-c", "--confirm", is_flag=True, help="Do not ask.")
