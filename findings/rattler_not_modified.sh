#!/usr/bin/env bash
# Rattler: a channel on a plain web server can be read once, and not again from the cache.
#
# The index by shards is asked for with If-Modified-Since where it is in the cache. A server may answer
# 304 without repeating Last-Modified, as Python's http.server and others do. Rattler then takes the
# 304 for the answer itself, as nothing in it says of what it speaks, and the solve fails with
# "unexpected status code (304 Not Modified)". The same without the cache works.
# spotcluster asks again without the cache: plugins/conda_solve.py, with tests/unit/plugins/conda.
# Source: RFC 9110, 15.4.5 (which headers a 304 must repeat: ETag, not Last-Modified) and
# RFC 9111, 4.3.4 (a stored answer is renewed by a 304 whose validator is its own).
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet py-rattler==0.28.0
cat >"$folder/finding.py" <<'PYTHON'
import asyncio
import hashlib
import io
import json
import os
import sys
import tarfile
import time
from pathlib import Path

import rattler
from rattler.exceptions import GatewayError
from rattler.index import index_fs


def package(folder: Path) -> None:
    (folder / "noarch").mkdir(parents=True)
    index = {"name": "one", "version": "1", "build": "0", "build_number": 0, "depends": []}
    files = {"share/one.txt": b"one"}
    paths = [
        {"_path": name, "path_type": "hardlink", "size_in_bytes": len(data)}
        | {"sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    ]
    files["info/index.json"] = json.dumps(index | {"subdir": "noarch", "noarch": "generic"}).encode()
    files["info/paths.json"] = json.dumps({"paths": paths, "paths_version": 1}).encode()
    with tarfile.open(folder / "noarch" / "one-1-0.tar.bz2", "w:bz2") as packed:
        for name, data in files.items():
            one = tarfile.TarInfo(name)
            one.size = len(data)
            packed.addfile(one, io.BytesIO(data))


async def solved(url: str, cache: Path, action: str = "cache-or-fetch") -> str:
    config = rattler.SourceConfig(cache_action=action)
    gateway = rattler.Gateway(cache_dir=cache, default_config=config)
    try:
        found = await rattler.solve([rattler.Channel(url)], ["one"], gateway, ["noarch"])
    except GatewayError as error:
        return str(error).splitlines()[0]
    return ", ".join(one.file_name for one in found)


def main() -> int:
    folder = Path(sys.argv[1])
    if len(sys.argv) == 2:
        package(folder)
        asyncio.run(index_fs(folder))
        return 0
    print("py-rattler", rattler.__version__)
    said = []
    for action in ("cache-or-fetch", "cache-or-fetch", "no-cache"):
        said.append(asyncio.run(solved(sys.argv[2], folder / "cache", action)))
        print(f"{action}: {said[-1]}")
        time.sleep(1)
    return said[0] != "one-1-0.tar.bz2" or "304" not in said[1] or said[2] != said[0]


status = int(main())
sys.stdout.flush()
os._exit(status)
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" "$folder/channel"
port=$("$folder/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder/venv/bin/python" -m http.server --bind 127.0.0.1 --directory "$folder/channel" "$port" >/dev/null 2>&1 &
server=$!
until "$folder/venv/bin/python" -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$port')" 2>/dev/null; do sleep 0.1; done
echo "Expected: three times one-1-0.tar.bz2."
"$folder/venv/bin/python" "$folder/finding.py" "$folder" "http://127.0.0.1:$port"
echo "Seen again: a 304 without Last-Modified ends it, and only without the cache it is read."
