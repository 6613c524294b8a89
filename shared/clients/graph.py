"""Requests to Microsoft Graph through msgraph-sdk's request adapter: one, a $batch, and a relation of many objects.

The adapter carries authentication, throttling and retry; answers come as bytes, for graph_pages.py to decode.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from kiota_abstractions.headers_collection import HeadersCollection
from kiota_abstractions.method import Method
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_abstractions.request_information import RequestInformation
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from kiota_http.middleware import BaseMiddleware, RetryHandler
from kiota_http.middleware.options import ResponseHandlerOption, RetryHandlerOption
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph_core import GraphClientFactory

from ..model import TENANT, Unread
from .graph_pages import PERMISSION, items_of
from .http import NotFoundError, Patience, ReadError, fault, reading, retry_after, same_origin, status_error

BATCH = 20
"""The most requests that one $batch takes. https://learn.microsoft.com/graph/json-batching"""
BATCHES = 4
"""Batches at the same time; Graph counts each request in them against its limits."""


class _Persistent(BaseMiddleware):
    """Tries again after a connection fault or a cut-off body; the SDK's own handler retries statuses only."""

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self._patience = patience

    async def send(self, request: httpx.Request, transport: httpx.AsyncBaseTransport) -> httpx.Response:
        for attempt in range(self._patience.attempts):
            try:
                response = await super().send(request, transport)
                # The body is read here, so that one that ends too early counts as a fault of this attempt.
                await response.aread()
                return response
            except httpx.TransportError:
                if attempt + 1 == self._patience.attempts:
                    raise
            # Jitter, so that the chains of one scan do not come back together.
            await asyncio.sleep(self._patience.backoff * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311  # nosec B311
        raise AssertionError("unreachable")


class _Throttled(RetryHandler):
    """The SDK's retry of statuses, with Retry-After, for every fault that may pass."""

    def __init__(self, patience: Patience) -> None:
        super().__init__(RetryHandlerOption(delay=0, max_retries=min(10, patience.attempts)))
        self.backoff_factor = patience.backoff
        self.backoff_max = int(patience.longest_wait)
        self.retry_on_status_codes = {429, 500, 502, 503, 504}


class Graph:
    """Asks Microsoft Graph; every method raises ReadError, or gives Unread where it asks for many."""

    def __init__(self, credential: AsyncTokenCredential, endpoint: str, patience: Patience = Patience()) -> None:
        self.endpoint = endpoint
        self._patience = patience
        timeout = httpx.Timeout(patience.read, connect=patience.connect)
        # The SDK's redirect handler is left out: a redirect is an error here (docs/design.md, invariant 7).
        self._http = GraphClientFactory.create_with_custom_middleware(
            [_Throttled(patience), _Persistent(patience)],
            client=httpx.AsyncClient(timeout=timeout, http2=True, follow_redirects=False),
        )
        provider = AzureIdentityAuthenticationProvider(
            credential, scopes=[f"{endpoint}/.default"], allowed_hosts=[urlsplit(endpoint).hostname or ""]
        )
        self._adapter = GraphRequestAdapter(provider, client=self._http)
        self._adapter.base_url = f"{endpoint}/v1.0"

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def send(
        self, method: Method, url: str, kind: type, content: bytes = b"", *, eventual: bool = False
    ) -> bytes:
        """The body of an answer 200; `eventual` is what advanced queries need."""
        request = RequestInformation()
        request.http_method = method
        request.url = url
        headers = HeadersCollection()
        headers.try_add("Accept", "application/json")
        if eventual:
            headers.try_add("ConsistencyLevel", "eventual")
        if content:
            headers.try_add("Content-Type", "application/json")
            request.content = content
        request.headers = headers
        request.add_request_options([ResponseHandlerOption(NativeResponseHandler())])
        try:
            async with reading(kind, TENANT, PERMISSION, self._patience, self.endpoint):
                # The native handler gives the response itself, status and body untouched.
                response: httpx.Response = await self._adapter.send_primitive_async(request, "bytes", {})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ReadError(
                Unread(kind=kind, scope=TENANT, reason=_fault(error, self.endpoint), passing=True)
            ) from error
        if response.status_code != 200:
            raise status_error(kind, TENANT, PERMISSION, response.status_code, response.content)
        return response.content

    async def batch(self, urls: Sequence[str], kind: type) -> list[tuple[int, Mapping[str, str], Any]]:
        """The status, headers and body of each GET of a $batch, in the order asked."""
        body = {"requests": [{"id": str(number), "method": "GET", "url": url} for number, url in enumerate(urls)]}
        content = await self.send(Method.POST, f"{self.endpoint}/v1.0/$batch", kind, json.dumps(body).encode())
        try:
            found = {one["id"]: one for one in json.loads(content)["responses"]}
            return [_answer(found[str(number)]) for number in range(len(urls))]
        # OverflowError: Python reads Infinity out of JSON.
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ReadError(
                Unread(kind=kind, scope=TENANT, reason="a $batch answer that is no batch", passing=True)
            ) from error

    async def each(
        self, paths: Iterable[str], query: str, kind: type
    ) -> tuple[dict[str, list[dict[str, Any]]], set[str], list[Unread]]:
        """The items of a relation of each object by its path, 20 a request; the paths that are gone; what failed."""
        found: dict[str, list[dict[str, Any]]] = {}
        gone: set[str] = set()
        unread: list[Unread] = []
        wanted = list(paths)
        parts = [wanted[start : start + BATCH] for start in range(0, len(wanted), BATCH)]
        limit = asyncio.Semaphore(BATCHES)

        async def read(part: Sequence[str]) -> None:
            async with limit:
                try:
                    unread.extend(await self._related(part, query, kind, found, gone))
                except ReadError as error:
                    unread.append(error.unread)

        # The first goes alone: over HTTP/2 the others share its connection, once it is there.
        for some in (parts[:1], parts[1:]):
            await asyncio.gather(*map(read, some))
        return found, gone, unread

    async def _related(
        self, paths: Sequence[str], query: str, kind: type, found: dict[str, list[dict[str, Any]]], gone: set[str]
    ) -> list[Unread]:
        """Put the items of up to 20 objects into `found`; gives what failed, and asks again for what may pass."""
        unread: list[Unread] = []
        pending = list(paths)
        for attempt in range(self._patience.attempts):
            answers = await self.batch([path + query for path in pending], kind)
            again: dict[str, Unread] = {}
            wait = self._patience.backoff * 2**attempt
            for path, (status, headers, body) in zip(pending, answers, strict=True):
                try:
                    found[path] = await self._whole(kind, status, body)
                except NotFoundError:
                    gone.add(path)
                except ReadError as error:
                    if status == 429 or status >= 500:
                        again[path] = error.unread
                        wait = max(wait, _retry_after(headers))
                    else:
                        unread.append(error.unread)
            if not again or attempt + 1 == self._patience.attempts:
                break
            pending = list(again)
            await asyncio.sleep(min(wait, self._patience.longest_wait))
        return [*unread, *again.values()]

    async def _whole(self, kind: type, status: int, body: Any) -> list[dict[str, Any]]:
        """The items of one answer of a batch, and of the pages that follow it."""
        items, link = items_of(kind, status, body)
        seen = set()
        while link:
            if not same_origin(link, self.endpoint) or link in seen:
                reason = "a nextLink that leads back or to another origin, not followed"
                raise ReadError(Unread(kind=kind, scope=TENANT, reason=reason))
            seen.add(link)
            content = await self.send(Method.GET, link, kind)
            try:
                more, link = items_of(kind, 200, json.loads(content))
            except (ValueError, RecursionError) as error:
                reason = "an answer 200 that is no listing"
                raise ReadError(Unread(kind=kind, scope=TENANT, reason=reason, passing=True)) from error
            items += more
        return items


def _retry_after(headers: Mapping[str, str]) -> float:
    return retry_after(next((str(value) for name, value in headers.items() if name.lower() == "retry-after"), ""))


def _fault(error: Exception, endpoint: str) -> str:
    return fault(error.__cause__ if isinstance(error.__cause__, AzureError) else error, endpoint)


def _answer(one: Mapping[str, Any]) -> tuple[int, Mapping[str, str], Any]:
    """The status, headers and body of an answer within a batch."""
    headers = one.get("headers")
    return int(one["status"]), headers if isinstance(headers, dict) else {}, one.get("body")
