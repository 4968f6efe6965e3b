"""``python -m spotcluster.local.host FOLDER READY``: boot the host in FOLDER and serve.

READY is the number of an open pipe. One line of JSON goes there when the host can be logged into;
that it closes without one means that the host could not boot, and its console says why.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path

import psutil

from spotcluster import starts

from . import server
from .children import become_subreaper, forget_signals
from .layout import Layout, Running

log = logging.getLogger("spotcluster.local.host")


async def _main(layout: Layout, ready: int) -> None:
    become_subreaper()
    forget_signals()
    host = server.Host(layout)
    log.info("booting %s on %s", host.settings.instance_id, host.settings.address)
    server.use_own_tmp(layout)
    key = host.set_up()
    server.enter(layout)
    port = await host.listen(key)
    process = psutil.Process()
    running = Running(process.pid, starts.start_of(process), host.settings.address, port)
    layout.write_running(running)
    log.info("listening on %s port %d", running.address, running.port)
    os.write(ready, (json.dumps({"port": port}) + "\n").encode())
    os.close(ready)
    await server.serve_for_ever()


def run(folder: Path, ready: int) -> None:
    """Run the host of a folder; say on the pipe `ready` when it can be logged into."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S"
    )
    # asyncssh logs every command line at this level, and those may hold secrets.
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    asyncio.run(_main(Layout(folder), ready))


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]))
