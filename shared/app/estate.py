"""Read the tenant: subscriptions and clusters from ARM, applications and service principals from Graph."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from ..clients.aks import Aks
from ..clients.baseline_rows import ClusterRow, ScopeRow
from ..clients.entra import Entra, Listing
from ..clients.http import NotFoundError, ReadError
from ..clients.scan_rows import ScanRow
from ..clients.tables import Stored
from ..credentials import matters
from ..model import (
    TENANT,
    Application,
    DeletedApplication,
    ManagedCluster,
    ServicePrincipal,
    Snapshot,
    Subscription,
    Unread,
)
from ..settings import Settings

log = logging.getLogger(__name__)

CONCURRENCY = 16
"""Subscriptions read at the same time."""

Entity = TypeVar("Entity", Application, ServicePrincipal)

Progress = Callable[[str, int, int | None], None]
"""Told what is read: the name, how many so far, of how many if that is known."""


def silent(name: str, done: int, total: int | None) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """What ARM showed: the first half of a snapshot."""

    subscriptions: tuple[Subscription, ...]
    clusters: tuple[ManagedCluster, ...]
    unread: tuple[Unread, ...]
    gone: frozenset[str]
    """Subscriptions of the baseline that ARM says no longer exist."""


async def read_azure(aks: Aks, settings: Settings, scopes: Mapping[str, ScopeRow], progress: Progress) -> Estate:
    """The subscriptions that are watched, and their clusters."""
    unread: list[Unread] = []
    gone: set[str] = set()
    subscriptions: list[Subscription] = []
    try:
        subscriptions = await aks.list_subscriptions()
    except ReadError as error:
        unread += [error.unread, replace(error.unread, kind=ManagedCluster)]
    else:
        wanted = settings.subscriptions or tuple(scopes)
        listed = {one.subscription_id for one in subscriptions}
        if settings.subscriptions:
            subscriptions = [one for one in subscriptions if one.subscription_id in settings.subscriptions]
        for subscription_id in wanted:
            if subscription_id in listed:
                continue
            found = await _look_again(aks, subscription_id)
            if isinstance(found, Unread):
                unread.append(found)
            elif found is None and not settings.subscriptions:
                gone.add(subscription_id)
            elif found is None:
                scope = f"/subscriptions/{subscription_id}"
                unread.append(Unread(kind=ManagedCluster, scope=scope, reason="named in SUBSCRIPTIONS, but not found"))
        for subscription_id in sorted(scopes.keys() - set(wanted)):
            # Nobody looks there any more, so nobody knows that what is open there was mended.
            if subscription_id not in listed and await _look_again(aks, subscription_id) is None:
                gone.add(subscription_id)
                continue
            scope, reason = f"/subscriptions/{subscription_id}", "read before, and no longer named in SUBSCRIPTIONS"
            unread.append(Unread(kind=ManagedCluster, scope=scope, reason=reason))
        if not subscriptions and not unread:
            reason = "no subscription is readable"
            unread.append(
                Unread(kind=ManagedCluster, scope=TENANT, reason=reason, permission="Reader at a management group")
            )
    limit = asyncio.Semaphore(CONCURRENCY)
    done = 0

    async def read(subscription: Subscription) -> tuple[list[ManagedCluster], list[Unread]]:
        nonlocal done
        async with limit:
            answer = await aks.list_clusters(subscription.subscription_id)
        done += 1
        progress("subscriptions", done, len(subscriptions))
        return answer

    answers = await asyncio.gather(*(read(one) for one in subscriptions))
    clusters = {one.id.lower(): one for found, _ in answers for one in found}
    return Estate(
        subscriptions=tuple(subscriptions),
        clusters=tuple(clusters.values()),
        unread=(*unread, *(one for _, missing in answers for one in missing)),
        gone=frozenset(gone),
    )


async def _look_again(aks: Aks, subscription_id: str) -> Unread | None:
    """Why a subscription is not in the listing: Unread, or None when ARM says that it does not exist."""
    scope = f"/subscriptions/{subscription_id}"
    try:
        await aks.get_subscription(subscription_id)
    except NotFoundError:
        return None
    except ReadError as error:
        return replace(error.unread, kind=ManagedCluster)
    reason = "it was read before and is in no listing now"
    return Unread(kind=ManagedCluster, scope=scope, reason=reason, permission="Reader", passing=True)


async def tenant_of(aks: Aks, estate: Estate, last: ScanRow | None) -> str:
    """The tenant that is watched; the subscriptions say it, else the identity's only tenant, else the last scan."""
    tenants = {one.tenant_id for one in estate.subscriptions if one.tenant_id}
    if not tenants:
        try:
            tenants = {tenant.lower() for tenant in await aks.list_tenants()}
        except ReadError as error:
            if last is None:
                raise
            log.warning("%s; the tenant of the last scan is taken", error)
    if last and (last.tenant_id in tenants or not tenants):
        return last.tenant_id
    if len(tenants) == 1:
        return tenants.pop()
    raise ReadError(
        Unread(kind=Subscription, scope=TENANT, reason=f"{len(tenants)} tenants are visible; name one's SUBSCRIPTIONS")
    )


async def read_entra(
    entra: Entra,
    settings: Settings,
    estate: Estate,
    stored: Stored,
    baseline: Mapping[str, ClusterRow],
    last: ScanRow | None,
    tenant_id: str,
    now: datetime,
    progress: Progress,
) -> Snapshot:
    """The snapshot of Azure and Entra: of the applications and service principals, those that matter now."""
    behind = {one.client_id.lower() for one in estate.clusters if one.client_id}
    open_now = {one.resource_id for one in stored.findings if one.open}
    # What clusters ran on before they were converted, until nothing is left of it.
    left = {row.former.client_id for row in baseline.values() if row.former.client_id} - behind

    def keep(entity: Application | ServicePrincipal) -> bool:
        if isinstance(entity, ServicePrincipal) and entity.type == "ManagedIdentity":
            return False
        if entity.app_id.lower() in behind | left or entity.id in open_now:
            return True
        return any(matters(one, now, settings.thresholds) for one in entity.credentials)

    applications, principals = await asyncio.gather(
        entra.list_applications(keep, lambda count: progress("applications", count, None)),
        entra.list_service_principals(keep, lambda count: progress("service principals", count, None)),
    )
    # Graph's replicas lag: only a GET says that what has an open finding, and is in no listing, is gone.
    await _complete(behind | left | _open_app_ids(stored, "/applications/"), applications, entra.get_application)
    await _complete(
        behind | left | _open_app_ids(stored, "/servicePrincipals/"), principals, entra.get_service_principal
    )
    listed = {one.app_id.lower() for one in applications.kept}
    present = {one.app_id.lower() for one in principals.kept}
    missing = behind - (listed & present)
    deleted: Listing[DeletedApplication] = Listing()
    if missing:
        deleted = await entra.list_deleted(lambda one: one.app_id.lower() in missing)
    known = {row.client_id.lower() for row in baseline.values() if row.known} | listed | present
    return Snapshot(
        taken=now,
        tenant_id=tenant_id,
        thresholds=settings.thresholds,
        subscriptions=estate.subscriptions,
        clusters=estate.clusters,
        applications=tuple(applications.kept),
        service_principals=tuple(principals.kept),
        deleted=tuple(deleted.kept),
        known=frozenset(known),
        unread=(*estate.unread, *applications.unread, *principals.unread, *deleted.unread),
        unread_before=frozenset(last.unread) if last else frozenset(),
        unread_unnamed=bool(last and last.unnamed),
        counts={
            "subscriptions": len(estate.subscriptions),
            "clusters": len(estate.clusters),
            "applications": applications.count,
            "service_principals": principals.count,
        },
    )


def _open_app_ids(stored: Stored, path: str) -> set[str]:
    told = (one for one in stored.findings if one.open and one.resource_id.startswith(path))
    return {str(one.facts["app_id"]).lower() for one in told if one.facts.get("app_id")}


async def _complete(
    behind: Iterable[str],
    listing: Listing[Entity],
    get: Callable[[str], Awaitable[Entity | None]],
) -> None:
    """Ask by id for what clusters or findings depend on and no listing showed: only a 404 means that it is gone."""
    listed = {one.app_id.lower() for one in listing.kept}
    for app_id in sorted(set(behind) - listed):
        try:
            found = await get(app_id)
        except ReadError as error:
            # One answer tells enough: a Graph that is away would take its time for each of them.
            listing.unread.append(error.unread)
            return
        if found:
            listing.kept.append(found)
