"""The package index of the lab: PEP 503 over a folder of wheels, and their metadata, PEP 658.

PyPI has the latter too. Without it an installer reads whole wheels to learn what they need, and
then again to install them.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import re
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .network import GATEWAY

PORT = 8080
URL = f"http://{GATEWAY}:{PORT}/simple/"


def serve(wheels: Path, port: int = PORT, login: str = "") -> None:
    """Serve the wheels of a folder for ever, on threads; where there is a login, to whom has it."""
    wanted = f"Basic {base64.b64encode(login.encode()).decode()}" if login else None
    links: dict[str, list[str]] = {}
    metadata: dict[str, bytes] = {}
    for path in sorted(wheels.glob("*.whl")):
        name = re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower()
        data = metadata[f"/{path.name}.metadata"] = _metadata(path)
        digest = hashlib.sha256(data).hexdigest()
        link = _link(f"/{path.name}", f' data-core-metadata="sha256={digest}"')
        links.setdefault(name, []).append(link)

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def copyfile(self, source: Any, outputfile: Any) -> None:
            outputfile.flush()
            self.connection.sendfile(source)  # by the kernel: nine machines fetch gigabytes

        def do_GET(self) -> None:
            if wanted not in (None, self.headers.get("Authorization")):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="private"')
                self.send_header("Content-Length", "0")
                return self.end_headers()
            kind, _, name = self.path.strip("/").partition("/")
            if self.path in metadata:
                return self.answer(metadata[self.path], "text/plain")
            if kind != "simple":
                return super().do_GET()
            if name and name not in links:
                return self.send_error(404)
            found = links[name] if name else [_link(f"/simple/{one}/") for one in links]
            text = "\n".join(found)
            page = f"<!DOCTYPE html><html><body>\n{text}\n</body></html>"
            return self.answer(page.encode(), "text/html")

        def answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server((GATEWAY, port), functools.partial(Handler, directory=str(wheels)))
    threading.Thread(target=server.serve_forever, name="index", daemon=True).start()


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (
            one for one in packed.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", one)
        )
        return packed.read(name)


def _link(path: str, attributes: str = "") -> str:
    text = html.escape(path.strip("/").split("/")[-1])
    return f'<a href="{html.escape(path)}"{attributes}>{text}</a>'
