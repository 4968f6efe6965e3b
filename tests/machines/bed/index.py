"""The package index of the lab: PEP 503 over a folder of wheels."""

from __future__ import annotations

import functools
import html
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .network import GATEWAY

PORT = 8080
URL = f"http://{GATEWAY}:{PORT}/simple/"


def serve(wheels: Path) -> None:
    """Serve the wheels of a folder for ever, on threads."""
    files: dict[str, list[str]] = {}
    for path in sorted(wheels.glob("*.whl")):
        name = re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower()
        files.setdefault(name, []).append(path.name)

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def copyfile(self, source: Any, outputfile: Any) -> None:
            outputfile.flush()
            self.connection.sendfile(source)  # by the kernel: nine machines fetch gigabytes

        def do_GET(self) -> None:
            kind, _, name = self.path.strip("/").partition("/")
            if kind != "simple":
                return super().do_GET()
            if name and name not in files:
                return self.send_error(404)
            links = (
                [f"/{file}" for file in files[name]] if name else [f"/simple/{n}/" for n in files]
            )
            text = "\n".join(
                f'<a href="{html.escape(link)}">{html.escape(link.strip("/").split("/")[-1])}</a>'
                for link in links
            )
            body = f"<!DOCTYPE html><html><body>\n{text}\n</body></html>".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return None

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server((GATEWAY, PORT), functools.partial(Handler, directory=str(wheels)))
    threading.Thread(target=server.serve_forever, name="index", daemon=True).start()
