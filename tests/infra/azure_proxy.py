"""A loopback proxy that plays the hosts of Azure's control plane to the real `az`, TLS and all.

`HTTPS_PROXY` leads here; a CONNECT to a host that is played ends here, any other is refused and written down, so that
nothing leaves the machine. No hosts file is touched.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import trustme

PLAYED = (
    "login.microsoftonline.com",
    "management.azure.com",
    "graph.microsoft.com",
    "*.azurewebsites.net",
    "*.scm.azurewebsites.net",
    "*.vault.azure.net",
)


@dataclass(frozen=True)
class Call:
    """One request, as it was sent."""

    method: str
    host: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded; `az` sends a template file as it lies on the disk, behind a name without quotes."""
        return json.loads(self.body.replace(b", template:{", b', "template":{', 1))


@dataclass(frozen=True)
class Reply:
    """One answer; anything but bytes is sent as JSON."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Proxy:
    """The proxy; a context manager. `answer` is asked in the thread of the connection."""

    def __init__(self, folder: Path, answer: Callable[[Call], Reply]) -> None:
        self.authority = folder / "authority.pem"
        self.refused: list[str] = []
        authority = trustme.CA(organization_name="Stand-in for Azure")
        authority.cert_pem.write_to_path(self.authority)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*PLAYED).configure_cert(context)
        handler = type("Handler", (_Handler,), {"proxy": self, "context": context, "answer": staticmethod(answer)})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def played(host: str) -> bool:
    """Whether a host is one of those that are played."""
    return host in PLAYED or any(host.endswith(one[1:]) for one in PLAYED if one.startswith("*"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy
    context: ssl.SSLContext
    answer: Callable[[Call], Reply]
    host = ""

    def do_CONNECT(self) -> None:
        self.host = self.path.rpartition(":")[0]
        if not played(self.host):
            self.proxy.refused.append(self.host)
            self.send_error(403)
            return
        self.send_response_only(200, "Connection Established")
        self.end_headers()
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.close_connection = False

    def _respond(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        call = Call(self.command, self.host, parts.path, query, headers, self.rfile.read(length))
        reply = self.answer(call)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response_only(reply.status)
        for name, value in ({"Content-Type": "application/json"} | reply.headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _respond

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the calls are kept by whoever answers them."""
