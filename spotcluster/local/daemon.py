"""The background process: ``python -m spotcluster.local.daemon FOLDER READY``.

It leaves the process that started it at once, and says in one line of JSON on the pipe READY where
it listens. That the pipe closes without one means that it could not start; its log says why.
"""

from __future__ import annotations

import fcntl
import functools
import gc
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

LOOK = 2.0  # seconds between two looks at whether its folder is still there


def main() -> None:
    """Run the daemon of the folder given on the command line."""
    folder, ready = Path(sys.argv[1]), int(sys.argv[2])
    _leave()
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    try:
        _run(folder, ready)
    except Exception as error:
        logging.getLogger(__name__).exception("the local cloud could not start")
        os.write(ready, (json.dumps({"error": str(error)}) + "\n").encode())
        sys.exit(1)


def _leave() -> None:
    """Become nobody's child, in a session of one's own."""
    if os.fork() > 0:
        os._exit(0)
    os.setsid()
    os.umask(0o077)


def share_descriptions() -> None:
    """Have all sessions of botocore's read the descriptions of services once; before moto is.

    moto makes a session for each list of regions that it wants, and each would read EC2's 10 MB
    again: that was half of what a local cloud took of a processor until it had answered a call.
    """
    import botocore.session

    botocore.session.create_loader = functools.cache(botocore.session.create_loader)


def _run(folder: Path, ready: int) -> None:
    share_descriptions()
    gc.disable()  # nothing that is made by imports is garbage
    # Imported late: the process that waits for us to leave waits for less.
    from .moto_private import read_offerings_when_asked

    read_offerings_when_asked()
    from . import service

    gc.freeze()
    gc.enable()
    lock = (folder / "daemon.lock").open("w")
    # Held for life, and closed in what we start: two daemons can never work on one folder.
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Who started the other one was interrupted before that had said where it listens.
        os.write(ready, (json.dumps({"other": True}) + "\n").encode())
        return
    running = service.Service(folder)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    url, own = running.start(), folder.stat()
    os.write(ready, (json.dumps({"url": url}) + "\n").encode())
    os.close(ready)
    while not stop.wait(LOOK):
        if not _is_there(folder, own):
            logging.getLogger(__name__).info("%s was deleted", folder)
            break
    running.stop()
    lock.close()


def _is_there(folder: Path, own: os.stat_result) -> bool:
    """Return whether a folder is what it was: nobody could find what runs in one that is gone."""
    try:
        return os.path.samestat(folder.stat(), own)
    except FileNotFoundError:
        return False
    except OSError:
        return True


if __name__ == "__main__":
    main()
