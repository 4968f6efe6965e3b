"""An address that is a password, given to this computer's browser."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from spotcluster import files


@contextlib.contextmanager
def page(kind: str, region: str, name: str, url: str) -> Iterator[Path]:
    """Make a page of our own that leads there, for as long as this lasts.

    Command lines, as that of a browser that is being started, are everybody's to read.
    """
    import html  # most commands need none

    path = files.private_dir(kind, region) / f"{name}.html"
    address = html.escape(url)
    files.write_private(
        path,
        f'<!DOCTYPE html><meta charset="utf-8"><title>{html.escape(name)}</title>'
        f'<meta http-equiv="refresh" content="0; url={address}"><a href="{address}">{name}</a>\n',
    )
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def show(page: Path) -> None:
    """Have this computer's browser show a page.

    In a thread of its own: some browsers are waited for until somebody closes them, and what comes
    of one that ends must not be where a Ctrl-C arrives, which would not be heard.
    """
    import webbrowser

    threading.Thread(target=webbrowser.open, args=[page.as_uri()], daemon=True).start()
