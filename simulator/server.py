"""The simulator itself: the services behind real sockets, TLS and all, in a thread of their own."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import trustme
from aiohttp import web

from .actions import Actions
from .arm import Arm
from .faults import Fault
from .graph import Graph
from .identity import Identity, issue
from .paging import Recorded, recorded
from .teams import FALLBACK, Channel, Post, Teams
from .tenant import Tenant
from .topic import PATH, Topic
from .world import Call, Host, Reply, Service, World

ADDRESS = "127.0.0.1"
HOSTS: tuple[Host, ...] = ("graph", "arm", "teams", "identity", "topic")
CHUNKS = 20
"""Into how many pieces a trickling body is cut."""


@dataclass(frozen=True)
class Request:
    """One request that was received, and what became of it; status 0 is no answer at all."""

    time: float
    """When it came, in real time."""
    host: Host
    method: str
    target: str
    status: int
    sent: int
    """Bytes of the body that was sent."""


class Simulator(World):
    """A local Azure with one tenant: managed identity, Microsoft Graph, Resource Manager and Teams on loopback.

    A context manager; the fields of World are switches that may be set at any time.
    """

    def __init__(self, tenant: Tenant, now: datetime | None = None, *, latency: float = 0.0, port: int = 0) -> None:
        super().__init__(tenant=tenant, now=now or tenant.starts, latency=latency)
        self.requests: list[Request] = []
        self._port = port
        self._faults: list[Fault] = []
        self._recorded: list[Recorded] = []
        self._teams = Teams(self)
        self.topic = Topic(self)
        self._services: dict[Host, Service] = {
            "graph": Graph(self, lambda call: self._part("graph", call)),
            "arm": Arm(self),
            "teams": self._teams,
            "identity": Identity(self),
            "topic": self.topic,
        }
        self._files: tempfile.TemporaryDirectory[str] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._files = tempfile.TemporaryDirectory(prefix="simulator-")
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="simulator", daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure:
            self.__exit__()
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop and self._stopping and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread:
            self._thread.join()
        if self._files:
            self._files.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        """The settings with which the app finds this Azure instead of the real one."""
        certificate = self._certificate_file
        return {
            "IDENTITY_ENDPOINT": self.origins["identity"] + "/msi/token",
            "IDENTITY_HEADER": self.identity_header,
            "AZURE_CLIENT_ID": self.client_id,
            "ARM_ENDPOINT": self.origins["arm"],
            "GRAPH_ENDPOINT": self.origins["graph"],
            **self._teams.environment(),
            "SSL_CERT_FILE": certificate,
            "REQUESTS_CA_BUNDLE": certificate,
        }

    @property
    def topic_endpoint(self) -> str:
        """The setting TOPIC_ENDPOINT; it is not in the environment, since a topic is optional."""
        return self.origins["topic"] + PATH

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The Teams channels by team."""
        return self._teams.channels

    @property
    def channel_url(self) -> str:
        """The web address of the page that shows the cards."""
        return self.origins["teams"] + "/channel"

    def cards(self, team: str = FALLBACK) -> list[Post]:
        """What a channel shows, in the order in which it came."""
        return [post for post in self.channels[team].posts if not post.failure]

    def failed(self, team: str = FALLBACK) -> list[Post]:
        """What a channel answered with 202 and never showed, since its flow failed."""
        return [post for post in self.channels[team].posts if post.failure]

    @property
    def actions(self) -> Actions:
        """What somebody can do now from outside: assign, delete, and so on."""
        return Actions(self.tenant, self.now)

    def token(self, who: str, resource: str = "https://management.azure.com") -> str:
        """A token of a user or an app, who may change what the watcher only reads."""
        return issue(self, resource, int(time.time()) + 3600, self.tenant.caller(who))

    def page(self) -> str:
        """The page with all cards as one file that needs no server."""
        return self._teams.page(whole=True)

    def add(self, fault: Fault) -> Fault:
        """Switch a fault on."""
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Switch all faults off."""
        self._faults.clear()

    def record(self, path: str, *bodies: bytes, rewrite: bool = False) -> None:
        """Answer a path with recorded bytes, byte for byte; further bodies are the pages that each nextLink leads to.

        A recorded nextLink names the real host, which a careful client does not follow from here: `rewrite` puts
        this simulator's address into it and leaves every other byte alone.
        """
        host: Host = "graph" if path.startswith(("/v1.0/", "/beta/")) else "arm"
        self._recorded = recorded(path, bodies, self.origins[host] if rewrite else None) + self._recorded

    @property
    def _certificate_file(self) -> str:
        assert self._files
        return str(Path(self._files.name) / "authority.pem")

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as failure:
            self._failure = failure
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        authority = trustme.CA(organization_name="Simulated Azure")
        authority.cert_pem.write_to_path(self._certificate_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost", ADDRESS).configure_cert(context)
        runners: list[web.ServerRunner] = []
        for number, host in enumerate(HOSTS):
            server = web.Server(self._handler(host), access_log=None, keepalive_timeout=75)
            runner = web.ServerRunner(server, shutdown_timeout=0.1)
            await runner.setup()
            secure = None if host == "identity" else context
            site = web.TCPSite(runner, ADDRESS, self._port and self._port + number, ssl_context=secure)
            await site.start()
            runners.append(runner)
            self.origins[host] = f"{'https' if secure else 'http'}://{ADDRESS}:{runner.addresses[0][1]}"
        ready.set()
        await self._stopping.wait()
        for runner in runners:
            # Clients keep idle connections open, and a TLS one would be closed only when they answer.
            for connection in runner.server.connections if runner.server else ():
                if connection.transport:
                    connection.transport.abort()
            await runner.cleanup()
        # A few turns of the loop, in which transports that are closing close their sockets.
        await asyncio.sleep(0.01)

    def _handler(self, host: Host) -> Any:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            came = time.time()
            headers = {name.lower(): value for name, value in request.headers.items()}
            call = Call(request.method, request.raw_path, headers, await request.read())
            fault = next((one for one in list(self._faults) if one.strikes(host, call)), None)
            delay = self.latency + (fault.latency if fault else 0)
            if delay:
                await asyncio.sleep(delay)
            if fault and (fault.hang or fault.reset == "before"):
                self.requests.append(Request(came, host, call.method, call.target, 0, 0))
                return await (self._hang() if fault.hang else _drop(request))
            reply = fault.reply(self._service(host, call), call) if fault else self._service(host, call).answer(call)
            if fault and fault.reset == "after":
                self.requests.append(Request(came, host, call.method, call.target, 0, 0))
                return await _drop(request)
            half = fault and (fault.cut or fault.reset == "during")
            sent = len(reply.body) // 2 if half else len(reply.body)
            self.requests.append(Request(came, host, call.method, call.target, reply.status, sent))
            if fault and (half or fault.slow):
                return await _send_badly(request, reply, fault, sent)
            return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

        return handle

    def _service(self, host: Host, call: Call) -> Service:
        page = next((page for page in self._recorded if host in ("graph", "arm") and page.answers(call)), None)
        return _Replay(self._services[host], page) if page and call.method == "GET" else self._services[host]

    def _part(self, host: Host, call: Call) -> Reply:
        """One request of a batch, with its own faults as far as these can be told in a batch."""
        fault = next((one for one in list(self._faults) if one.strikes(host, call)), None)
        service = self._service(host, call)
        return fault.reply(service, call) if fault and not fault.html else service.answer(call)

    async def _hang(self) -> web.StreamResponse:
        assert self._stopping
        await self._stopping.wait()
        raise web.HTTPServiceUnavailable


class _Replay:
    """A recorded body in front of the service that would answer otherwise; tokens and permissions still count."""

    def __init__(self, service: Service, page: Recorded) -> None:
        self._service, self._page = service, page

    def answer(self, call: Call) -> Reply:
        reply = self._service.answer(call)
        return reply if reply.status in (401, 403) else self._page.reply()

    def refusal(self, status: int, call: Call) -> Reply:
        return self._service.refusal(status, call)


async def _send_badly(request: web.BaseRequest, reply: Reply, fault: Fault, length: int) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = len(reply.body)
    await response.prepare(request)
    size = max(-(-length // CHUNKS), 1) if fault.slow else max(length, 1)
    starts = range(0, length, size)
    for start in starts:
        await asyncio.sleep(fault.slow / len(starts))
        await response.write(reply.body[start : min(start + size, length)])
    if length < len(reply.body):
        if fault.reset:
            return await _drop(request)
        if request.transport:
            request.transport.close()
        return response
    await response.write_eof()
    return response


async def _drop(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection: with SO_LINGER 0 the kernel sends RST instead of FIN."""
    transport = request.transport
    if transport:
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    # Nothing of it can be sent any more; the server notices that and says nothing.
    return web.Response()
