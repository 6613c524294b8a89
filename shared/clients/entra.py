"""Microsoft Graph: applications, service principals and their owners.

https://learn.microsoft.com/graph/api/application-list and serviceprincipal-list, Graph v1.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Self, TypeVar

import msgspec
from azure.core.credentials_async import AsyncTokenCredential
from kiota_abstractions.method import Method

from .. import sources
from ..access import FederatedIdentityCredential, Membership
from ..model import TENANT, Application, DeletedApplication, Owner, ServicePrincipal, Unread
from .graph import BATCH, Graph
from .graph_pages import (
    PERMISSION,
    UNCLEAR,
    Item,
    application,
    decode_item,
    deleted_application,
    federated_credential,
    malformed,
    owners_of,
    page_of,
    principal_of,
    service_principal,
)
from .http import NotFoundError, Patience, ReadError, same_origin, status_error

READ_USERS = sources.USERS.permission
PAGE = 999
"""The largest $top that Graph allows here."""

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


@dataclass(slots=True)
class Listing(Generic[Entity]):
    """What a listing gave: the entities worth keeping, how many there were in all, and what is missing."""

    kept: list[Entity] = field(default_factory=list)
    count: int = 0
    unread: list[Unread] = field(default_factory=list)


class Entra:
    """Reads Microsoft Graph; every public method raises ReadError, or reports Unread where it lists."""

    def __init__(self, credential: AsyncTokenCredential, endpoint: str, patience: Patience = Patience()) -> None:
        self._graph = Graph(credential, endpoint, patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._graph.close()

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
        """The object ids of the first items of a listing: enough to see whether it may be read; raises ReadError.

        Of applications a few more, as many as one $batch asks about: most have no owner.
        """
        urls = {
            Application: (f"/applications?$top={BATCH}&$select={_APPLICATION}",),
            ServicePrincipal: (f"/servicePrincipals?$top=1&$select={_PRINCIPAL}",),
            DeletedApplication: tuple(
                f"/directory/deletedItems/microsoft.graph.{name}?$top=1&$select=id" for name in _BIN
            ),
        }
        found = []
        for url in urls[kind]:
            items, _, _ = page_of(await self._graph.send(Method.GET, f"{self._graph.endpoint}/v1.0{url}", kind), kind)
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
                answers = await self._graph.batch(
                    [f"/servicePrincipals(appId='{one}')?$select=id,appId,displayName" for one in part],
                    ServicePrincipal,
                )
                for status, _, body in answers:
                    if status != 404:
                        found.append(principal_of(status, body))
            except ReadError as error:
                # One answer tells enough: a Graph that is away would take its time for each of them.
                return found, [error.unread]
        return found, []

    async def list_owners(self, resource_ids: Iterable[str]) -> tuple[dict[str, tuple[Owner, ...]], list[Unread]]:
        """The owners of applications and service principals by resource id, 20 a request.

        An object that is gone has no owners; with Application.Read.All alone owners have an id but no name.
        """
        query = "/owners?$select=id,displayName,userPrincipalName"
        found, gone, unread = await self._graph.each(dict.fromkeys(resource_ids), query, Owner)
        owners = {path: owners_of(path, items) for path, items in found.items()}
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
                answers = await self._graph.batch(
                    [f"/users/{one}?$select=id,accountEnabled,userType" for one in part], Owner
                )
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
        found, _, failed = await self._graph.each(paths, "/federatedIdentityCredentials", FederatedIdentityCredential)
        credentials: list[FederatedIdentityCredential] = []
        for path, items in found.items():
            for item in items:
                try:
                    credentials.append(federated_credential(item, paths[path]))
                except (*UNCLEAR, ValueError):
                    failed.append(malformed(FederatedIdentityCredential, path))
        return credentials, [*unread, *failed]

    async def _applications(self, object_ids: Iterable[str]) -> tuple[list[Application], list[Unread]]:
        """The names and client ids of applications; of one that does not exist there is none."""
        wanted = [one for one in dict.fromkeys(object_ids) if _GUID.match(one)]
        found: list[Application] = []
        kind = FederatedIdentityCredential
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            try:
                answers = await self._graph.batch(
                    [f"/applications/{one}?$select=id,appId,displayName" for one in part], kind
                )
                for status, _, body in answers:
                    if status == 200:
                        found.append(application(msgspec.convert(body, Item)))
                    elif status != 404:
                        raise status_error(kind, TENANT, PERMISSION, status, json.dumps(body).encode())
            except ReadError as error:
                return found, [error.unread]
            except (*UNCLEAR, ValueError):
                return found, [malformed(kind, "an application")]
        return found, []

    async def list_memberships(
        self, principal_ids: Iterable[str]
    ) -> tuple[list[Membership], frozenset[str], list[Unread]]:
        """The groups that service principals are in, directly or through others; and those that Graph says are gone.

        Application.Read.All is enough: groups come with their ids, which is all that is asked.
        """
        paths = {f"/servicePrincipals/{one}": one for one in principal_ids if _GUID.match(one)}
        query = f"/transitiveMemberOf?$select=id&$top={PAGE}"
        found, gone, unread = await self._graph.each(paths, query, Membership)
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

    async def _list(
        self,
        url: str,
        kind: type,
        parse: Callable[[Item], Entity],
        keep: Callable[[Entity], bool],
        progress: Callable[[int], None],
        *,
        eventual: bool = False,
    ) -> Listing[Entity]:
        listing: Listing[Entity] = Listing()
        broken: list[str] = []
        try:
            async for item in self._items(
                f"{self._graph.endpoint}/v1.0{url}", kind, listing, broken, progress, eventual
            ):
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
            listing.unread.append(malformed(kind, *broken))
        return listing

    async def _items(
        self,
        url: str,
        kind: type,
        listing: Listing[Entity],
        broken: list[str],
        progress: Callable[[int], None],
        eventual: bool,
    ) -> AsyncIterator[Item]:
        seen = set()
        link: str | None = url
        while link:
            if not same_origin(link, self._graph.endpoint) or link in seen:
                reason = "a nextLink that leads back" if link in seen else "a nextLink to another origin, not followed"
                raise ReadError(Unread(kind=kind, scope=TENANT, reason=reason))
            seen.add(link)
            content = await self._graph.send(Method.GET, link, kind, eventual=eventual)
            items, link, unclear = page_of(content, kind)
            listing.count += len(items) + len(unclear)
            broken += unclear
            progress(listing.count)
            for item in items:
                yield item

    async def _one(self, url: str, kind: type[Entity], parse: Callable[[Item], Entity]) -> Entity | None:
        try:
            return parse(decode_item(await self._graph.send(Method.GET, f"{self._graph.endpoint}/v1.0{url}", kind)))
        except NotFoundError:
            return None
        except (*UNCLEAR, ValueError) as error:
            raise ReadError(malformed(kind, url)) from error
