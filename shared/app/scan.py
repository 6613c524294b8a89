"""Scan the tenant: read into a snapshot, judge, reconcile with what is stored."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from .. import alerts, silences
from ..clients.aks import Aks
from ..clients.entra import Entra, Listing
from ..clients.http import NotFoundError, ReadError
from ..clients.rows import ClusterRow, Due, ScanRow, ScopeRow, key
from ..clients.storage import ConflictError
from ..clients.tables import Change, Stored, Tables
from ..credentials import matters
from ..findings import Finding, Observed, evaluate, reconcile
from ..model import (
    TENANT,
    Application,
    DeletedApplication,
    ManagedCluster,
    ServicePrincipal,
    Snapshot,
    Subscription,
    Unread,
    covers,
)
from ..owners import Directory, Tags, assign
from ..rules import RULES
from ..settings import Settings
from ..silences import Silence
from ..text import visible
from . import appointments, retention, topic
from .connect import Clients, holder

log = logging.getLogger(__name__)

CONCURRENCY = 16
"""Subscriptions read at the same time."""

TURN = 360.0
"""Seconds that a scan waits for its turn to write: longer than the lease of a run that was killed."""

ATTEMPTS = 3
"""How often a decision is taken anew because a row changed meanwhile."""

Entity = TypeVar("Entity", Application, ServicePrincipal)

Progress = Callable[[str, int, int | None], None]
"""Told what is read: the name, how many so far, of how many if that is known."""


def silent(name: str, done: int, total: int | None) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a scan found, for whoever started it."""

    snapshot: Snapshot
    findings: tuple[Finding, ...]
    """Open findings, worst first."""
    written: int = 0
    """Findings that changed in storage."""
    silences: tuple[Silence, ...] = ()


async def scan(clients: Clients, settings: Settings, now: datetime, progress: Progress = silent) -> Report:
    """Read the tenant, judge it, and keep what changed; without tables it only judges.

    Raises ReadError when not even the tenant's id can be found, StorageError when findings cannot be kept.
    """
    began = time.monotonic()
    tables = clients.tables
    last = await tables.last_scan() if tables else None
    baseline = await tables.list_clusters() if tables else {}
    scopes = await tables.list_scopes() if tables else {}

    estate = await _read_azure(clients.aks, settings, scopes, progress)
    tenant_id = await _tenant_id(clients.aks, estate, last)
    stored = await tables.list_findings(tenant_id) if tables else Stored()
    snapshot = await _read_entra(clients.entra, settings, estate, stored, baseline, last, tenant_id, now, progress)

    observed = evaluate(snapshot, RULES)
    observed, unread = await _assign(clients, settings, snapshot, observed)
    if unread:
        # The owners come after the rules, which say whose are wanted; what fails here is judged once more.
        snapshot = replace(snapshot, unread=(*snapshot.unread, *unread))
        late = [one for one in evaluate(snapshot, RULES).findings if one.rule == "scan_scope_unreadable"]
        known = {one.fingerprint for one in observed.findings}
        observed = replace(
            observed, findings=(*observed.findings, *(one for one in late if one.fingerprint not in known))
        )
    findings: Sequence[Finding] = observed.findings
    written = 0
    if tables:
        findings, written = await _keep(tables, settings, snapshot, observed, now, began)
        await appointments.plan_heartbeat(tables, tenant_id, stored, now)
        await _keep_baseline(tables, snapshot, estate, baseline, scopes)
        finished = now + timedelta(seconds=time.monotonic() - began)
        await tables.save_scan(
            ScanRow(
                started=now,
                finished=finished,
                tenant_id=tenant_id,
                counts=snapshot.counts,
                unread={one.key: _unread_text(one) for one in snapshot.unread},
                partial=bool(snapshot.unread),
            )
        )
        await retention.prune(tables, tenant_id, stored, findings, now, settings.retention)
    open_now = sorted((one for one in findings if one.open), key=_worst_first)
    log.info(
        "scan finished: read %s; unread %d; findings open %d, silenced %d, written %d",
        ", ".join(f"{number} {name}" for name, number in snapshot.counts.items()),
        len(snapshot.unread),
        len(open_now),
        silences.count(open_now, now, stored.others.silences),
        written,
    )
    for one in snapshot.unread:
        log.warning("not read: %s", visible(_unread_text(one)))
    return Report(snapshot=snapshot, findings=tuple(open_now), written=written, silences=stored.others.silences)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Estate:
    """What ARM showed: the first half of a snapshot."""

    subscriptions: tuple[Subscription, ...]
    clusters: tuple[ManagedCluster, ...]
    unread: tuple[Unread, ...]
    gone: frozenset[str]
    """Subscriptions of the baseline that ARM says no longer exist."""


async def _read_azure(aks: Aks, settings: Settings, scopes: Mapping[str, ScopeRow], progress: Progress) -> _Estate:
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
    return _Estate(
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


async def _tenant_id(aks: Aks, estate: _Estate, last: ScanRow | None) -> str:
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


async def _read_entra(
    entra: Entra,
    settings: Settings,
    estate: _Estate,
    stored: Stored,
    baseline: Mapping[str, ClusterRow],
    last: ScanRow | None,
    tenant_id: str,
    now: datetime,
    progress: Progress,
) -> Snapshot:
    behind = {one.client_id.lower() for one in estate.clusters if one.client_id}
    open_now = {one.resource_id for one in stored.findings if one.open}

    def keep(entity: Application | ServicePrincipal) -> bool:
        if isinstance(entity, ServicePrincipal) and entity.type == "ManagedIdentity":
            return False
        if entity.app_id.lower() in behind or entity.id in open_now:
            return True
        return any(matters(one, now, settings.thresholds) for one in entity.credentials)

    applications, principals = await asyncio.gather(
        entra.list_applications(keep, lambda count: progress("applications", count, None)),
        entra.list_service_principals(keep, lambda count: progress("service principals", count, None)),
    )
    # Graph's replicas lag: only a GET says that what has an open finding, and is in no listing, is gone.
    await _complete(behind | _open_app_ids(stored, "/applications/"), applications, entra.get_application)
    await _complete(behind | _open_app_ids(stored, "/servicePrincipals/"), principals, entra.get_service_principal)
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


async def _assign(
    clients: Clients, settings: Settings, snapshot: Snapshot, observed: Observed
) -> tuple[Observed, list[Unread]]:
    """The findings with owners and teams, and what of the owners could not be read."""
    by_app: dict[str, list[str]] = {}
    for entity in _entities(snapshot):
        by_app.setdefault(entity.app_id.lower(), []).append(entity.id)

    def related(finding: Finding) -> tuple[str, ...]:
        app_id = finding.facts.get("client_id") or finding.facts.get("app_id") or ""
        return tuple(by_app.get(str(app_id).lower(), ()))

    wanted = [path for finding in observed.findings for path in (finding.resource_id, *related(finding))]
    graph = [path for path in wanted if path.startswith(("/applications/", "/servicePrincipals/"))]
    owners, unread = await clients.entra.list_owners(graph)
    clusters = {one.id.lower(): one for one in snapshot.clusters}
    concerned = [clusters[one.resource_id.lower()] for one in observed.findings if one.resource_id.lower() in clusters]
    groups, more = await _resource_group_tags(clients.aks, {one.subscription_id for one in concerned})
    subscriptions = {one.subscription_id: one for one in snapshot.subscriptions}
    directory = Directory(
        owners=owners,
        tags={
            one.id.lower(): Tags(
                levels=(
                    (f"cluster {one.name}", one.tags),
                    (
                        f"resource group {one.resource_group}",
                        groups.get((one.subscription_id, one.resource_group.lower()), {}),
                    ),
                    (
                        f"subscription {one.subscription_id}",
                        subscriptions[one.subscription_id].tags if one.subscription_id in subscriptions else {},
                    ),
                )
            )
            for one in concerned
        },
        routes=settings.routes,
        teams=settings.teams,
        owner_tag=settings.owner_tag,
        team_tag=settings.team_tag,
    )
    findings = tuple(assign(finding, related(finding), directory) for finding in observed.findings)
    return replace(observed, findings=findings), [*unread, *more]


async def _resource_group_tags(
    aks: Aks, subscription_ids: Iterable[str]
) -> tuple[dict[tuple[str, str], Mapping[str, str]], list[Unread]]:
    limit = asyncio.Semaphore(CONCURRENCY)
    tags: dict[tuple[str, str], Mapping[str, str]] = {}
    unread: list[Unread] = []

    async def read(subscription_id: str) -> None:
        async with limit:
            try:
                found = await aks.list_resource_group_tags(subscription_id)
            except ReadError as error:
                unread.append(error.unread)
                return
        tags.update({(subscription_id, name): values for name, values in found.items()})

    await asyncio.gather(*(read(one) for one in sorted(subscription_ids)))
    return tags, unread


async def _keep(
    tables: Tables, settings: Settings, snapshot: Snapshot, observed: Observed, now: datetime, began: float
) -> tuple[tuple[Finding, ...], int]:
    """Reconcile with what is stored, and write what changed; returns all findings and how many were written."""
    moment = now + timedelta(seconds=time.monotonic() - began)
    async with tables.lease(holder("scan"), moment, TURN) as lease:
        for attempt in range(ATTEMPTS):
            stored = await tables.list_findings(snapshot.tenant_id)
            findings = reconcile(stored.findings, observed, snapshot, RULES)
            before = {one.fingerprint: one for one in stored.findings}
            telling = alerts.due(findings, now, replace(settings.policy, silences=stored.others.silences))
            changes = []
            for finding in findings:
                if finding.fingerprint in stored.foreign:
                    continue
                was_due = stored.due.get(finding.fingerprint)
                due = (was_due or Due(fingerprint=finding.fingerprint)) if finding.fingerprint in telling else None
                if finding != before.get(finding.fingerprint) or due != was_due:
                    etag = finding.etag or stored.damaged.get(finding.fingerprint, "")
                    changes.append(Change(finding=replace(finding, etag=etag), due=due, was_due=was_due))
            lease.check()
            if settings.topic_endpoint:
                await topic.plan(tables, snapshot.tenant_id, stored, findings)
            try:
                await tables.save_findings(snapshot.tenant_id, changes)
            except ConflictError:
                if attempt + 1 == ATTEMPTS:
                    raise
                continue
            return findings, len(changes)
    raise AssertionError("unreachable")


async def _keep_baseline(
    tables: Tables,
    snapshot: Snapshot,
    estate: _Estate,
    clusters: Mapping[str, ClusterRow],
    scopes: Mapping[str, ScopeRow],
) -> None:
    """Remember clusters and subscriptions; forget only what ARM says is gone."""
    alive = {one.app_id.lower() for one in _entities(snapshot)}
    rows = []
    for cluster in snapshot.clusters:
        old = clusters.get(key(cluster.id))
        same = old is not None and old.client_id == cluster.client_id
        known = cluster.client_id.lower() in alive or (same and old is not None and old.known)
        row = ClusterRow(id=cluster.id, client_id=cluster.client_id, known=known)
        if row != old:
            rows.append(row)
    named = [ScopeRow(subscription_id=one.subscription_id, name=one.name) for one in snapshot.subscriptions]
    await tables.save_baseline(rows, [row for row in named if scopes.get(row.subscription_id) != row])
    seen = {key(one.id) for one in snapshot.clusters}
    unread = [one.scope for one in snapshot.unread if one.kind is ManagedCluster]
    lost = [
        name
        for name, row in clusters.items()
        if name not in seen and not any(covers(scope, row.id) for scope in unread)
    ]
    await tables.delete_baseline(lost, sorted(estate.gone))


def _entities(snapshot: Snapshot) -> tuple[Application | ServicePrincipal, ...]:
    return (*snapshot.applications, *snapshot.service_principals)


def _unread_text(unread: Unread) -> str:
    where = "" if unread.scope == TENANT else f" of {unread.scope}"
    mend = f", it needs {unread.permission}" if unread.permission else ""
    return f"{unread.kind.__name__}{where}: {unread.reason}{mend}"


def _worst_first(finding: Finding) -> tuple[int, float, str]:
    end = finding.expires_on.timestamp() if finding.expires_on else float("inf")
    return (-finding.severity, end, finding.resource_name.lower())
