"""Microsoft Graph: applications, service principals and their owners, through msgraph-sdk's request adapter.

The adapter carries authentication, throttling and retry; pages are decoded with msgspec into small structs, because
the SDK's models cost a hundred times the CPU (docs/design.md). Graph v1.0:
https://learn.microsoft.com/graph/api/application-list and serviceprincipal-list.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
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

from .. import sources
from ..access import FederatedIdentityCredential, Membership
from ..model import (
    TENANT,
    Application,
    Credential,
    CredentialKind,
    DeletedApplication,
    Owner,
    ServicePrincipal,
    Unread,
)
from .http import NotFoundError, Patience, ReadError, fault, reading, retry_after, same_origin, status_error

PERMISSION = sources.APPLICATIONS.permission
READ_USERS = sources.USERS.permission
PAGE = 999
"""The largest $top that Graph allows here."""
BATCH = 20
"""The most requests that one $batch takes. https://learn.microsoft.com/graph/json-batching"""
BATCHES = 4
"""Batches at the same time; Graph counts each request in them against its limits."""

_CREDENTIALS = "passwordCredentials,keyCredentials"
_APPLICATION = f"id,appId,displayName,disabledByMicrosoftStatus,{_CREDENTIALS}"
_PRINCIPAL = (
    "id,appId,displayName,servicePrincipalType,accountEnabled,appOwnerOrganizationId,disabledByMicrosoftStatus,"
    + _CREDENTIALS
)

_BIN = ("application", "servicePrincipal")
"""What the recycle bin is listed by."""

_GROUP = "#microsoft.graph.group"

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
"""Only such a text may stand in a path; a client id of another form names nothing in Entra."""

Entity = TypeVar("Entity", Application, ServicePrincipal, DeletedApplication)


class _Password(msgspec.Struct, rename="camel"):
    key_id: str | None = None
    display_name: str | None = None
    start_date_time: str | None = None
    end_date_time: str | None = None
    custom_key_identifier: str | None = None


class _Key(_Password):
    usage: str | None = None


class _Item(msgspec.Struct, rename="camel"):
    id: str
    app_id: str | None = None
    display_name: str | None = None
    disabled_by_microsoft_status: str | None = None
    password_credentials: list[_Password] | None = None
    key_credentials: list[_Key] | None = None
    service_principal_type: str | None = None
    account_enabled: bool | None = None
    app_owner_organization_id: str | None = None
    deleted_date_time: str | None = None


class _Page(msgspec.Struct):
    value: list[_Item]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


class _RawPage(msgspec.Struct):
    value: list[msgspec.Raw]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


_decode_page = msgspec.json.Decoder(_Page).decode
_decode_raw_page = msgspec.json.Decoder(_RawPage).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_UNCLEAR = (msgspec.MsgspecError, RecursionError)
"""What decoding raises for a body of another shape."""


@dataclass(slots=True)
class Listing(Generic[Entity]):
    """What a listing gave: the entities worth keeping, how many there were in all, and what is missing."""

    kept: list[Entity] = field(default_factory=list)
    count: int = 0
    unread: list[Unread] = field(default_factory=list)


def moment(text: str | None) -> datetime | None:
    """A Graph date in UTC, None for no date; raises ValueError for any other text.

    Graph writes up to seven fractional digits, one more than Python keeps.
    """
    if not text:
        return None
    parsed = datetime.fromisoformat(text)
    try:
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("a date outside the years 1 to 9999") from error


def credentials(item: _Item) -> tuple[Credential, ...]:
    """The secrets and certificates of a Graph object."""
    return tuple(
        Credential(
            kind=kind,
            key_id=one.key_id or "",
            name=one.display_name or "",
            start=moment(one.start_date_time),
            end=moment(one.end_date_time),
            custom_id=one.custom_key_identifier or "",
            usage=one.usage or "" if isinstance(one, _Key) else "",
        )
        for kind, many in (
            (CredentialKind.SECRET, item.password_credentials or ()),
            (CredentialKind.CERTIFICATE, item.key_credentials or ()),
        )
        for one in many
    )


def application(item: _Item) -> Application:
    """An item of /applications as a record."""
    return Application(
        object_id=item.id,
        app_id=item.app_id or "",
        name=item.display_name or "",
        credentials=credentials(item),
        disabled=_disabled(item),
    )


def service_principal(item: _Item) -> ServicePrincipal:
    """An item of /servicePrincipals as a record."""
    return ServicePrincipal(
        object_id=item.id,
        app_id=item.app_id or "",
        name=item.display_name or "",
        type=item.service_principal_type or "",
        enabled=item.account_enabled is not False,
        owner_tenant=(item.app_owner_organization_id or "").lower(),
        credentials=credentials(item),
        disabled=_disabled(item),
    )


class _Trust(msgspec.Struct):
    id: str
    name: str | None = None
    issuer: str | None = None
    subject: str | None = None
    audiences: list[str] | None = None


def federated_credential(item: Mapping[str, Any], holder: Application) -> FederatedIdentityCredential:
    """A federated credential of an application as a record; raises msgspec.ValidationError."""
    wire = msgspec.convert(dict(item), _Trust)
    return FederatedIdentityCredential(
        id=f"{holder.id}/federatedIdentityCredentials/{wire.name or wire.id}",
        identity_id=holder.id,
        issuer=wire.issuer or "",
        subject=wire.subject or "",
        audiences=tuple(wire.audiences or ()),
        app_id=holder.app_id,
        holder=holder.name,
    )


def deleted_application(item: _Item) -> DeletedApplication:
    """An item of the recycle bin as a record."""
    return DeletedApplication(object_id=item.id, app_id=item.app_id or "", deleted=moment(item.deleted_date_time))


def _disabled(item: _Item) -> str:
    status = item.disabled_by_microsoft_status or ""
    return "" if status == "NotDisabled" else status


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


class Entra:
    """Reads Microsoft Graph; every public method raises ReadError, or reports Unread where it lists."""

    def __init__(self, credential: AsyncTokenCredential, endpoint: str, patience: Patience = Patience()) -> None:
        self._endpoint = endpoint
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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def list_applications(
        self, keep: Callable[[Application], bool], progress: Callable[[int], None] = lambda count: None
    ) -> Listing[Application]:
        """Every application that `keep` wants; what could not be read is in the listing's `unread`."""
        url = f"/applications?$top={PAGE}&$select={_APPLICATION}"
        return await self._list(url, Application, application, keep, progress)

    async def list_service_principals(
        self, keep: Callable[[ServicePrincipal], bool], progress: Callable[[int], None] = lambda count: None
    ) -> Listing[ServicePrincipal]:
        """Every service principal that `keep` wants, as list_applications."""
        url = f"/servicePrincipals?$top={PAGE}&$select={_PRINCIPAL}"
        return await self._list(url, ServicePrincipal, service_principal, keep, progress)

    async def list_deleted(self, keep: Callable[[DeletedApplication], bool]) -> Listing[DeletedApplication]:
        """Applications and service principals in the recycle bin, applications first."""
        whole: Listing[DeletedApplication] = Listing()
        for name in _BIN:
            url = f"/directory/deletedItems/microsoft.graph.{name}?$top={PAGE}&$select=id,appId,deletedDateTime"
            part = await self._list(url, DeletedApplication, deleted_application, keep, lambda count: None)
            whole.kept += part.kept
            whole.count += part.count
            whole.unread += part.unread
        return whole

    async def sample(self, kind: type) -> list[str]:
        """The object ids of the first items of a listing: enough to see whether it may be read; raises ReadError."""
        urls = {
            Application: (f"/applications?$top=1&$select={_APPLICATION}",),
            ServicePrincipal: (f"/servicePrincipals?$top=1&$select={_PRINCIPAL}",),
            DeletedApplication: tuple(
                f"/directory/deletedItems/microsoft.graph.{name}?$top=1&$select=id" for name in _BIN
            ),
        }
        found = []
        for url in urls[kind]:
            items, _, _ = _page(await self._send(Method.GET, f"{self._endpoint}/v1.0{url}", kind), kind)
            found += [item.id for item in items]
        return found

    async def get_application(self, app_id: str) -> Application | None:
        """The application of an app id; None if Graph says that there is none."""
        if not _GUID.match(app_id):
            return None
        url = f"/applications(appId='{app_id}')?$select={_APPLICATION}"
        return await self._one(url, Application, application)

    async def get_service_principal(self, app_id: str) -> ServicePrincipal | None:
        """The service principal of an app id; None if Graph says that there is none."""
        if not _GUID.match(app_id):
            return None
        url = f"/servicePrincipals(appId='{app_id}')?$select={_PRINCIPAL}"
        return await self._one(url, ServicePrincipal, service_principal)

    async def list_principals_of(self, app_ids: Iterable[str]) -> tuple[list[ServicePrincipal], list[Unread]]:
        """The service principals of these app ids, 20 a request; of one that does not exist there is none."""
        wanted = [one for one in dict.fromkeys(app_ids) if _GUID.match(one)]
        found: list[ServicePrincipal] = []
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            try:
                answers = await self._batch(
                    [f"/servicePrincipals(appId='{one}')?$select=id,appId,displayName" for one in part],
                    ServicePrincipal,
                )
                for status, _, body in answers:
                    if status != 404:
                        found.append(_principal(status, body))
            except ReadError as error:
                # One answer tells enough: a Graph that is away would take its time for each of them.
                return found, [error.unread]
        return found, []

    async def list_owners(self, resource_ids: Iterable[str]) -> tuple[dict[str, tuple[Owner, ...]], list[Unread]]:
        """The owners of applications and service principals by resource id, 20 a request.

        An object that is gone has no owners; with Application.Read.All alone owners have an id but no name.
        """
        query = "/owners?$select=id,displayName,userPrincipalName"
        found, gone, unread = await self._each(dict.fromkeys(resource_ids), query, Owner)
        owners = {path: _owner_list(path, items) for path, items in found.items()}
        return owners | dict.fromkeys(gone, ()), unread

    async def list_members(self, object_ids: Iterable[str]) -> tuple[frozenset[str], list[Unread]]:
        """The lower-case ids of those principals that are enabled members of the tenant: no guests, no applications.

        Whether somebody is enabled or a guest is not part of the basic profile, so this needs User.Read.All.
        """
        members: set[str] = set()
        unread: list[Unread] = []
        wanted = sorted({one.lower() for one in object_ids if _GUID.match(one)})
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            try:
                answers = await self._batch([f"/users/{one}?$select=id,accountEnabled,userType" for one in part], Owner)
            except ReadError as error:
                return frozenset(members), [*unread, error.unread]
            for object_id, (status, _, body) in zip(part, answers, strict=True):
                if status == 200 and isinstance(body, dict):
                    if body.get("accountEnabled") is True and body.get("userType") == "Member":
                        members.add(object_id)
                elif status != 404:
                    unread.append(status_error(Owner, TENANT, READ_USERS, status, json.dumps(body).encode()).unread)
            if any(one.permission for one in unread):
                break
        return frozenset(members), unread

    async def list_federated_credentials(
        self, object_ids: Sequence[str] | None = None
    ) -> tuple[list[FederatedIdentityCredential], list[Unread]]:
        """What applications trust: those with these object ids, or all that trust anything.

        Which ones do, Graph counts for us; it is an advanced query: https://learn.microsoft.com/graph/aad-advanced-queries.
        """
        if object_ids is None:
            url = (
                f"/applications?$filter=federatedIdentityCredentials/$count%20ne%200&$count=true&$top={PAGE}"
                "&$select=id,appId,displayName"
            )
            listing: Listing[Application] = await self._list(
                url, FederatedIdentityCredential, application, lambda one: True, lambda count: None, eventual=True
            )
            holders, unread = listing.kept, listing.unread
        else:
            holders, unread = await self._applications(object_ids)
        paths = {one.id: one for one in holders if _GUID.match(one.object_id)}
        found, _, failed = await self._each(paths, "/federatedIdentityCredentials", FederatedIdentityCredential)
        credentials: list[FederatedIdentityCredential] = []
        for path, items in found.items():
            for item in items:
                try:
                    credentials.append(federated_credential(item, paths[path]))
                except (*_UNCLEAR, ValueError):
                    failed.append(_malformed(FederatedIdentityCredential, path))
        return credentials, [*unread, *failed]

    async def _applications(self, object_ids: Iterable[str]) -> tuple[list[Application], list[Unread]]:
        """The names and client ids of applications; of one that does not exist there is none."""
        wanted = [one for one in dict.fromkeys(object_ids) if _GUID.match(one)]
        found: list[Application] = []
        kind = FederatedIdentityCredential
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            try:
                answers = await self._batch([f"/applications/{one}?$select=id,appId,displayName" for one in part], kind)
                for status, _, body in answers:
                    if status == 200:
                        found.append(application(msgspec.convert(body, _Item)))
                    elif status != 404:
                        raise status_error(kind, TENANT, PERMISSION, status, json.dumps(body).encode())
            except ReadError as error:
                return found, [error.unread]
            except (*_UNCLEAR, ValueError):
                return found, [_malformed(kind, "an application")]
        return found, []

    async def list_memberships(
        self, principal_ids: Iterable[str]
    ) -> tuple[list[Membership], frozenset[str], list[Unread]]:
        """The groups that service principals are in, directly or through others; and those that Graph says are gone.

        Application.Read.All is enough: groups come with their ids, which is all that is asked.
        """
        paths = {f"/servicePrincipals/{one}": one for one in principal_ids if _GUID.match(one)}
        query = f"/transitiveMemberOf?$select=id&$top={PAGE}"
        found, gone, unread = await self._each(paths, query, Membership)
        memberships = [
            Membership(
                principal_id=paths[path],
                groups=tuple(
                    str(item["id"]) for item in items if item.get("@odata.type", "#microsoft.graph.group") == _GROUP
                ),
            )
            for path, items in found.items()
        ]
        return memberships, frozenset(paths[path].lower() for path in gone), unread

    async def _each(
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
            answers = await self._batch([path + query for path in pending], kind)
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
        items, link = _items(kind, status, body)
        seen = set()
        while link:
            if not same_origin(link, self._endpoint) or link in seen:
                reason = "a nextLink that leads back or to another origin, not followed"
                raise ReadError(Unread(kind=kind, scope=TENANT, reason=reason))
            seen.add(link)
            content = await self._send(Method.GET, link, kind)
            try:
                more, link = _items(kind, 200, json.loads(content))
            except (ValueError, RecursionError) as error:
                reason = "an answer 200 that is no listing"
                raise ReadError(Unread(kind=kind, scope=TENANT, reason=reason, passing=True)) from error
            items += more
        return items

    async def _batch(self, urls: Sequence[str], kind: type) -> list[tuple[int, Mapping[str, str], Any]]:
        """The status, headers and body of each GET of a $batch, in the order asked."""
        body = {"requests": [{"id": str(number), "method": "GET", "url": url} for number, url in enumerate(urls)]}
        content = await self._send(Method.POST, f"{self._endpoint}/v1.0/$batch", kind, json.dumps(body).encode())
        try:
            found = {one["id"]: one for one in json.loads(content)["responses"]}
            return [_answer(found[str(number)]) for number in range(len(urls))]
        # OverflowError: Python reads Infinity out of JSON.
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ReadError(
                Unread(kind=kind, scope=TENANT, reason="a $batch answer that is no batch", passing=True)
            ) from error

    async def _list(
        self,
        url: str,
        kind: type,
        parse: Callable[[_Item], Entity],
        keep: Callable[[Entity], bool],
        progress: Callable[[int], None],
        *,
        eventual: bool = False,
    ) -> Listing[Entity]:
        listing: Listing[Entity] = Listing()
        broken: list[str] = []
        try:
            async for item in self._items(f"{self._endpoint}/v1.0{url}", kind, listing, broken, progress, eventual):
                try:
                    entity = parse(item)
                except ValueError:
                    broken.append(item.id)
                    continue
                if keep(entity):
                    listing.kept.append(entity)
        except ReadError as error:
            listing.unread.append(error.unread)
        if broken:
            listing.unread.append(_malformed(kind, *broken))
        return listing

    async def _items(
        self,
        url: str,
        kind: type,
        listing: Listing[Entity],
        broken: list[str],
        progress: Callable[[int], None],
        eventual: bool,
    ) -> AsyncIterator[_Item]:
        seen = set()
        link: str | None = url
        while link:
            if not same_origin(link, self._endpoint) or link in seen:
                reason = "a nextLink that leads back" if link in seen else "a nextLink to another origin, not followed"
                raise ReadError(Unread(kind=kind, scope=TENANT, reason=reason))
            seen.add(link)
            content = await self._send(Method.GET, link, kind, eventual=eventual)
            items, link, unclear = _page(content, kind)
            listing.count += len(items) + len(unclear)
            broken += unclear
            progress(listing.count)
            for item in items:
                yield item

    async def _one(self, url: str, kind: type[Entity], parse: Callable[[_Item], Entity]) -> Entity | None:
        try:
            return parse(_decode_item(await self._send(Method.GET, f"{self._endpoint}/v1.0{url}", kind)))
        except NotFoundError:
            return None
        except (*_UNCLEAR, ValueError) as error:
            raise ReadError(_malformed(kind, url)) from error

    async def _send(
        self, method: Method, url: str, kind: type, content: bytes = b"", *, eventual: bool = False
    ) -> bytes:
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
            async with reading(kind, TENANT, PERMISSION, self._patience, self._endpoint):
                # The native handler gives the response itself, status and body untouched.
                response: httpx.Response = await self._adapter.send_primitive_async(request, "bytes", {})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ReadError(
                Unread(kind=kind, scope=TENANT, reason=_fault(error, self._endpoint), passing=True)
            ) from error
        if response.status_code != 200:
            raise status_error(kind, TENANT, PERMISSION, response.status_code, response.content)
        return response.content


def _page(content: bytes, kind: type) -> tuple[list[_Item], str | None, list[str]]:
    """The items of a page, the next link, and which items could not be understood; raises ReadError."""
    try:
        page = _decode_page(content)
        return page.value, page.next_link, []
    except _UNCLEAR:
        pass
    try:
        raw = _decode_raw_page(content)
    except _UNCLEAR as error:
        raise ReadError(
            Unread(kind=kind, scope=TENANT, reason="an answer 200 that is no listing", passing=True)
        ) from error
    items, broken = [], []
    for number, one in enumerate(raw.value):
        try:
            items.append(_decode_item(one))
        except _UNCLEAR:
            broken.append(f"item {number} of a page")
    return items, raw.next_link, broken


def _malformed(kind: type, first: str, *others: str) -> Unread:
    """One value for all of them: a whole listing may have changed its shape."""
    what = (
        f"{len(others) + 1:,} objects of an unexpected shape, the first: "
        if others
        else "an object of an unexpected shape: "
    )
    return Unread(kind=kind, scope=TENANT, reason=what + first[:60])


def _principal(status: int, body: Any) -> ServicePrincipal:
    """One service principal of a batch; raises ReadError."""
    if status != 200:
        raise status_error(ServicePrincipal, TENANT, PERMISSION, status, json.dumps(body).encode())
    try:
        return service_principal(msgspec.convert(body, _Item))
    except (*_UNCLEAR, ValueError) as error:
        raise ReadError(_malformed(ServicePrincipal, "a service principal")) from error


def _answer(one: Mapping[str, Any]) -> tuple[int, Mapping[str, str], Any]:
    """The status, headers and body of an answer within a batch."""
    headers = one.get("headers")
    return int(one["status"]), headers if isinstance(headers, dict) else {}, one.get("body")


def _items(kind: type, status: int, body: Any) -> tuple[list[dict[str, Any]], str | None]:
    """The objects of a decoded page and the link to the next one; raises ReadError."""
    if status != 200:
        raise status_error(kind, TENANT, PERMISSION, status, json.dumps(body).encode())
    value = body.get("value") if isinstance(body, dict) else None
    if not isinstance(value, list):
        raise ReadError(Unread(kind=kind, scope=TENANT, reason="an answer 200 that is no listing", passing=True))
    link = body.get("@odata.nextLink")
    items = [one for one in value if isinstance(one, dict) and one.get("id")]
    if kind is Membership and len(items) < len(value):
        # A group that is left out is a group that somebody has left.
        raise ReadError(_malformed(kind, "a group"))
    return items, link if isinstance(link, str) else None


def _owner_list(path: str, items: Iterable[Mapping[str, Any]]) -> tuple[Owner, ...]:
    source = "application" if path.startswith("/applications/") else "service principal"
    return tuple(
        Owner(
            object_id=str(one["id"]),
            name=str(one.get("displayName") or ""),
            mail=str(one.get("userPrincipalName") or ""),
            source=source,
        )
        for one in items
    )


def _retry_after(headers: Mapping[str, str]) -> float:
    return retry_after(next((str(value) for name, value in headers.items() if name.lower() == "retry-after"), ""))


def _fault(error: Exception, endpoint: str) -> str:
    return fault(error.__cause__ if isinstance(error.__cause__, AzureError) else error, endpoint)
