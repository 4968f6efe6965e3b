"""What the global options say, for every command."""

from __future__ import annotations

from dataclasses import dataclass

import click

from spotcluster.api.scope import Scope


@dataclass
class Context(Scope):
    """The global options, and what commands get with them."""

    debug: bool


pass_context = click.make_pass_decorator(Context)
