"""Groups of commands whose help tells in whole sentences what each one does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from spotcluster import wording


class Group(click.Group):
    """A group of commands, in sections where there are many."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._sections: dict[str, list[str]] = {}

    @property
    def sections(self) -> dict[str, list[str]]:
        """Return the names of the commands by the sections that the help shows."""
        return self._sections

    def add_section(self, title: str, commands: Iterable[click.Command]) -> None:
        """Add commands that the help shows together, in this order."""
        names = self._sections.setdefault(title, [])
        for command in commands:
            self.add_command(command)
            names.append(str(command.name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say of a command that is not here which one was meant, as of all other names."""
        name = args[0]
        if self.get_command(ctx, name) or name.startswith("-"):
            return super().resolve_command(ctx, args)
        raise self.no_such(name, ctx)

    def no_such(self, name: str, context: click.Context) -> click.UsageError:
        """Return the error for a command that is not here."""
        meant = wording.hint(name, self.list_commands(context))
        return click.UsageError(f"There is no command '{name}'.{meant}", context)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command does: the first sentence of its help, whole."""
        sections = self._sections or {"Commands": self.list_commands(ctx)}
        width = max(len(name) for names in sections.values() for name in names)
        for title, names in sections.items():
            rows = [
                (name.ljust(width), command.get_short_help_str(limit=1000))
                for name in names
                if (command := self.get_command(ctx, name))
            ]
            with formatter.section(title):
                formatter.write_dl(rows)
