"""Wait, on the master, until JupyterLab answers; print its port. Argument: limit in seconds."""

import json
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path.home() / ".spotcluster"
LIMIT = float(sys.argv[1])

end = time.monotonic() + LIMIT
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
while True:
    try:
        port = int((ROOT / "notebook" / "port").read_text())
        with direct.open(f"http://127.0.0.1:{port}/api", timeout=5) as answer:
            json.load(answer)
        sys.stdout.write(f"{port}\n")
        break
    except (OSError, ValueError):
        if time.monotonic() > end:
            log = ROOT / "logs" / "notebook.log"
            last = log.read_text(errors="replace").splitlines()[-10:] if log.exists() else []
            sys.exit("\n".join([f"It did not answer within {LIMIT:.0f} s; its log says:", *last]))
        time.sleep(0.1)
