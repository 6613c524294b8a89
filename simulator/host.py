"""A small Functions host for one function with an Event Grid trigger: it answers what the real one answers.

Answers: tried on a running host 4.1037 with the Event Grid extension 3.3.0. What the real one also does, and this one
does not: authentication of any other kind, more than one function, a worker process of its own.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Self

from aiohttp import web
from azure.functions import meta
from azure.functions.eventgrid import EventGridEventInConverter

from .eventgrid import PATH

Function = Callable[[Any], Awaitable[None]]
ADDRESS = "127.0.0.1"


class FunctionsHost:
    """An async context manager; the function runs in the event loop that started the host."""

    def __init__(self, function: Function | None, name: str = "on_role_change") -> None:
        self.function = function
        """None is a function_app.py that could not be imported: the host runs, and knows no function."""
        self.name = name
        self.code = secrets.token_urlsafe(32)
        """The key of the Event Grid extension."""
        self.answers: list[int] = []
        self.failures: list[Exception] = []
        """What the function raised."""
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None))
        await self._runner.setup()
        await web.TCPSite(self._runner, ADDRESS, 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """scheme://host:port."""
        assert self._runner
        return f"http://{ADDRESS}:{self._runner.addresses[0][1]}"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._answer(request)
        self.answers.append(answer.status)
        return answer

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.path != PATH:
            return web.Response(status=404)
        if not secrets.compare_digest(request.query.get("code", "").encode(), self.code.encode()):
            return web.Response(status=401)
        if self.function is None or request.query.get("functionName") != self.name:
            return web.Response(status=404, text=f"cannot find function: '{request.query.get('functionName')}'")
        if request.method == "OPTIONS":
            return web.Response(headers={"Webhook-Allowed-Origin": request.headers.get("WebHook-Request-Origin", "")})
        kind = request.headers.get("aeg-event-type", "")
        if kind == "Unsubscribe":
            return web.Response(status=202)
        if kind not in ("SubscriptionValidation", "Notification"):
            return web.Response(status=400)
        try:
            # Not read(): that refuses what is larger than 1 MB, and a real host takes it.
            body = json.loads(await request.content.read())
        except ValueError as problem:
            return web.Response(status=500, text=str(problem))
        events = body if isinstance(body, list) else [body]
        if kind == "SubscriptionValidation":
            return web.json_response({"validationResponse": events[0]["data"]["validationCode"]})
        results = await asyncio.gather(*map(self._invoke, events), return_exceptions=True)
        failed = [one for one in results if isinstance(one, Exception)]
        self.failures += failed
        if failed:
            return web.Response(status=500, text=f"Exception while executing function: Functions.{self.name}")
        return web.Response(status=202)

    async def _invoke(self, event: Any) -> None:
        assert self.function
        datum = meta.Datum(json.dumps(event), "json")
        await self.function(EventGridEventInConverter.decode(datum, trigger_metadata={}))
