"""What every client shares: patience with a service, errors with a reason, and the one origin it may talk to."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline import PipelineRequest, PipelineResponse, policies
from azure.core.pipeline.policies import AsyncHTTPPolicy, SansIOHTTPPolicy
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.mgmt.core import AsyncARMPipelineClient
from azure.mgmt.core.policies import AsyncARMChallengeAuthenticationPolicy

from ..model import SIGNED_OUT, TENANT, Unread
from ..sources import named


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one request may take, its retries and the waits that a service asks for included; in seconds."""

    attempts: int = 5
    connect: float = 10
    read: float = 60
    backoff: float = 0.8
    """The first wait without Retry-After; doubled each time."""
    longest_wait: float = 60
    total: float = 150
    """After this, a request has failed, whatever a Retry-After says."""


CONNECTIONS = 64
"""Connections open at the same time, all services together."""


class ReadError(Exception):
    """A read that failed for good: what is unread now, and why."""

    def __init__(self, unread: Unread) -> None:
        where = "" if unread.scope == TENANT else f" of {unread.scope}"
        super().__init__(f"could not read {named(unread)}{where}: {unread.reason}")
        self.unread = unread


class NotFoundError(ReadError):
    """A single object that the service says does not exist (404)."""


def same_origin(url: str, endpoint: str) -> bool:
    """Whether an address lies on the scheme, host and port of an endpoint."""
    try:
        one, other = urlsplit(url), urlsplit(endpoint)
        return (one.scheme, one.hostname, one.port or 443) == (other.scheme, other.hostname, other.port or 443)
    except ValueError:
        return False


def retry_after(text: str) -> float:
    """A Retry-After header, in either of its forms, in seconds from now and at most a day; 0 if it says nothing."""
    text = text.strip()
    if text.isdecimal():
        return min(float(text), _DAY)
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = moment.timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0
    return min(max(0.0, seconds), _DAY)


_DAY = 86_400.0
"""Who asks for a longer wait than this, in seconds, has made a mistake, and sums with it would overflow."""


def error_code(body: bytes | str) -> str:
    """The `error.code` of a Graph or ARM error body, or nothing; never other text from the body."""
    try:
        error = json.loads(body)["error"]
        code = error["code"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return code if isinstance(code, str) and code.isascii() and code.replace("_", "").isalnum() else ""


class OriginPolicy(SansIOHTTPPolicy):  # type: ignore[type-arg]
    """Refuses to send a token to another origin than the configured one, wherever a nextLink points."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def on_request(self, request: PipelineRequest) -> None:  # type: ignore[type-arg]
        """Raises ServiceResponseError before anything is sent elsewhere."""
        if not same_origin(request.http_request.url, self._endpoint):
            raise ServiceResponseError("the service answered with a link to another origin; it was not followed")


class _Listing(msgspec.Struct):
    value: list[msgspec.Raw]


_decode_listing = msgspec.json.Decoder(_Listing).decode


class CompletePolicy(AsyncHTTPPolicy):  # type: ignore[type-arg]
    """Turns a successful answer that is no list into an error: the SDK reads a missing `value` as an empty page."""

    async def send(self, request: PipelineRequest) -> PipelineResponse:  # type: ignore[type-arg]
        """Passes the request on and looks at the answer; raises ServiceResponseError, which is retried."""
        # The option is taken out once, before the transport sees it, and remembered for the retries.
        if request.context.options.pop("listing", False):
            request.context["listing"] = True
        response = await self.next.send(request)
        answer = response.http_response
        if answer.status_code == 200 and request.context.get("listing") and not _complete(answer.body()):
            raise ServiceResponseError("the service answered 200 with something that is no listing")
        return response


def _complete(body: bytes) -> bool:
    try:
        _decode_listing(body)
    except (ValueError, RecursionError):
        # Slower by far, and content with text that is no Unicode.
        try:
            return isinstance(json.loads(body).get("value"), list)
        except (ValueError, AttributeError, RecursionError):
            return False
    return True


def session(patience: Patience) -> aiohttp.ClientSession:
    """One pool of connections for ARM, tables and Teams; the certificates are those of the environment as it is now."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(), limit=CONNECTIONS),
        timeout=aiohttp.ClientTimeout(sock_connect=patience.connect, sock_read=patience.read),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=True,
    )


def transport(pool: aiohttp.ClientSession, patience: Patience) -> AioHttpTransport:
    """azure-core's transport over that pool, which it may use and not close."""
    return _Bounded(
        patience.total,
        session=pool,
        session_owner=False,
        connection_timeout=patience.connect,
        read_timeout=patience.read,
    )


class _Bounded(AioHttpTransport):  # type: ignore[misc] # azure-core's type is Any
    """A transport whose requests come to an end: a body that trickles for ever passes every read timeout."""

    def __init__(self, total: float, **options: Any) -> None:
        super().__init__(**options)
        self._total = total

    async def send(self, request: Any, **options: Any) -> Any:
        try:
            async with asyncio.timeout(self._total):
                return await super().send(request, **options)
        except TimeoutError as error:
            raise ServiceResponseTimeoutError(f"no whole answer within {self._total:.0f} s", error=error) from error


def retry_options(patience: Patience) -> dict[str, Any]:
    """Our totals for azure-core's own retry, which honours Retry-After."""
    return {
        "retry_total": patience.attempts,
        "retry_connect": patience.attempts,
        "retry_read": patience.attempts,
        "retry_status": patience.attempts,
        "retry_backoff_factor": patience.backoff,
        "retry_backoff_max": patience.longest_wait,
        "timeout": patience.total,
    }


Client = TypeVar("Client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """How every client of Azure Resource Manager is made: one pipeline, one pool of connections, one patience."""

    credential: AsyncTokenCredential
    endpoint: str
    transport: AioHttpTransport
    patience: Patience = Patience()

    def client(self, kind: Callable[..., Client], *arguments: str) -> Client:
        """A client of azure-mgmt for that constructor, most often with a subscription id."""
        return kind(
            self.credential,
            *arguments,
            base_url=self.endpoint,
            transport=self.transport,
            credential_scopes=[f"{self.endpoint}/.default"],
            policies=self._policies(),
        )

    async def pages(self, path: str, version: str, take: Callable[[bytes], str | None]) -> None:
        """Give each page of a listing to `take`, which gives the link to the next one: no models of azure-mgmt.

        Raises what the same pipeline raises for azure-mgmt, for reading() to turn into ReadError. No page is held while
        the next one travels: with many listings at a time those would be most of a scan's memory.
        """
        # That policy decodes every body with json, for the models.
        chain = [one for one in self._policies() if not isinstance(one, policies.ContentDecodePolicy)]
        client: AsyncARMPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncARMPipelineClient(
            base_url=self.endpoint, transport=self.transport, policies=chain
        )
        link: str | None = f"{self.endpoint}{path}?api-version={version}"
        seen = set[str]()
        async with client:
            while link:
                if link in seen:
                    raise ServiceResponseError("the service answered with a link that leads back")
                seen.add(link)
                link = take(await _body(client, link))

    def reading(self, kind: type, scope: str, permission: str) -> AbstractAsyncContextManager[None]:
        """As reading(), with this patience."""
        return reading(kind, scope, permission, self.patience, self.endpoint)

    def _policies(self) -> list[AsyncHTTPPolicy | SansIOHTTPPolicy]:  # type: ignore[type-arg]
        """A pipeline that reads: no redirects, no logging of addresses, no provider registration.

        The SDK's default pipeline registers a missing resource provider by a POST: a write, which we never do.
        """
        return [
            policies.RequestIdPolicy(),
            policies.HeadersPolicy(),
            policies.UserAgentPolicy("fusewatch"),
            policies.ContentDecodePolicy(),
            OriginPolicy(self.endpoint),
            policies.AsyncRetryPolicy(**retry_options(self.patience)),
            CompletePolicy(),
            AsyncARMChallengeAuthenticationPolicy(self.credential, f"{self.endpoint}/.default"),
        ]


async def _body(client: AsyncARMPipelineClient[HttpRequest, AsyncHttpResponse], url: str) -> bytes:
    response = await client.send_request(HttpRequest("GET", url), listing=True)
    if response.status_code != 200:
        raise HttpResponseError(response=response)
    return response.content


@asynccontextmanager
async def reading(kind: type, scope: str, permission: str, patience: Patience, endpoint: str) -> AsyncIterator[None]:
    """Turns whatever a read may raise into ReadError with its reason; the time limit is patience.total."""
    try:
        async with asyncio.timeout(patience.total):
            yield
    except TimeoutError as error:
        raise ReadError(
            Unread(kind=kind, scope=scope, reason=f"no complete answer within {patience.total:g} seconds", passing=True)
        ) from error
    except DecodeError as error:
        # The SDK's word for half a body.
        raise ReadError(Unread(kind=kind, scope=scope, reason=fault(error, endpoint), passing=True)) from error
    except HttpResponseError as error:
        raise refused(kind, scope, permission, error) from error
    except (AzureError, aiohttp.ClientError, OSError) as error:
        passing = not isinstance(error, ClientAuthenticationError)
        raise ReadError(Unread(kind=kind, scope=scope, reason=fault(error, endpoint), passing=passing)) from error
    except (ValueError, TypeError, AttributeError) as error:
        # What the SDKs raise for an answer of another shape, such as a nextLink that is a number.
        reason = f"an answer of an unexpected shape ({type(error).__name__})"
        raise ReadError(Unread(kind=kind, scope=scope, reason=reason)) from error


def refused(kind: type, scope: str, permission: str, error: HttpResponseError) -> ReadError:
    """The ReadError of an HTTP error answer; a ClientAuthenticationError without an answer is a refused token."""
    # Whoever asks for a token has none yet: that answer came from the identity's endpoint, not from the service.
    if error.response is None or "Authorization" not in getattr(error.response.request, "headers", {}):
        passing = _passes(error.status_code or 0)
        return ReadError(Unread(kind=kind, scope=scope, reason=token_fault(error), passing=passing))
    try:
        body = error.response.body() if hasattr(error.response, "body") else b""
    except (AzureError, OSError):
        body = b""
    return status_error(kind, scope, permission, error.response.status_code or 0, body)


def status_error(kind: type, scope: str, permission: str, status: int, body: bytes) -> ReadError:
    """The ReadError of an HTTP status: a refusal names the permission, a fault may pass."""
    code = error_code(body)
    reason = f"HTTP {status}" + (f" {code}" if code else "")
    if 300 <= status < 400:
        reason += ": a redirect, not followed"
    unread = Unread(
        kind=kind,
        scope=scope,
        reason=reason,
        permission=permission if status == 403 else "",
        passing=_passes(status),
    )
    return NotFoundError(unread) if status == 404 else ReadError(unread)


def _passes(status: int) -> bool:
    return status in (408, 409, 429) or status >= 500


def token_fault(error: Exception) -> str:
    """Why there is no token, in one line; the identity libraries' own messages run over pages."""
    text = str(error).strip().removeprefix("(None)").strip()
    first = text.splitlines()[0][:200] if text else type(error).__name__
    if "CLI not found" in first:
        first += ": install it and run az login"
    return f"{SIGNED_OUT}{first}"


def fault(error: Exception, endpoint: str = "") -> str:
    """A transport or token fault in one line, without the address that a message may hold; the host is told."""
    if isinstance(error, ClientAuthenticationError):
        return token_fault(error)
    if isinstance(error, ServiceResponseError) and str(error).startswith("the service"):
        return str(error)
    # Who could not be reached may be another one than was asked, such as a proxy.
    host = next((one.host for one in _chain(error) if isinstance(one, aiohttp.ClientConnectorError)), "")
    host = host or urlsplit(endpoint).hostname or ""
    return f"connection fault{f' with {host}' if host else ''}: {what_broke(error)}"


def what_broke(error: BaseException) -> str:
    """What went wrong with a connection, in words or by the name of the error; never an address."""
    chain = _chain(error)
    for kinds, words in _WORDS:
        if any(isinstance(one, kinds) for one in chain):
            return words
    return type(chain[min(1, len(chain) - 1)]).__name__


_WORDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    (
        (ssl.SSLCertVerificationError,),
        "its certificate is not trusted; behind a proxy that opens TLS, put the proxy's into SSL_CERT_FILE",
    ),
    ((ssl.SSLError,), "TLS failed"),
    ((socket.gaierror,), "its name is not found; check the network and DNS"),
    ((ConnectionRefusedError,), "it refuses connections; check the network and any proxy"),
    ((TimeoutError, ServiceResponseTimeoutError), "no answer in time"),
    ((ConnectionError, aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError), "the connection broke off"),
)


def _chain(error: BaseException) -> list[BaseException]:
    """An error and those behind it, the outermost first: each library keeps them elsewhere."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or any(one is other for other in found):
            continue
        found.append(one)
        waiting += [*one.args, *(getattr(one, name, None) for name in ("inner_exception", "os_error", "__cause__"))]
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
    return found
