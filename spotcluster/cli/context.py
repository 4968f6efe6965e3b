"""What the global options say, for every command."""

from __future__ import annotations

from dataclasses import dataclass

import click

from spotcluster.api.scope import Scope


@dataclass
class Context(Scope):
    """The global options, and what commands get with them."""

    debug: bool

    def words(self, region: str) -> list[str]:
        """Return these options as words of a command line, for a region."""
        config = [] if self.config_path is None else ["-c", str(self.config_path.absolute())]
        return [*config, "-r", region]


pass_context = click.make_pass_decorator(Context)
