"""Give findings their owners and teams: Graph owners, and the tags of clusters, groups and subscriptions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ..clients.aks import Aks
from ..findings import Finding, Observed
from ..model import Application, Owner, ServicePrincipal, Snapshot, Unread
from ..owners import Directory, Tags, assign
from ..settings import Settings
from .connect import Clients
from .people import graph_owners
from .reads import each


def entities(snapshot: Snapshot) -> tuple[Application | ServicePrincipal, ...]:
    """The applications and service principals of a snapshot."""
    return (*snapshot.applications, *snapshot.service_principals)


async def assign_owners(
    clients: Clients, settings: Settings, snapshot: Snapshot, observed: Observed
) -> tuple[Observed, list[Unread]]:
    """The findings with owners and teams, and what of the owners could not be read."""
    assigned, _, unread = await read_owners(clients, settings, snapshot, observed)
    return replace(observed, findings=tuple(assigned(one) for one in observed.findings)), unread


async def read_owners(
    clients: Clients, settings: Settings, snapshot: Snapshot, observed: Observed
) -> tuple[Callable[[Finding], Finding], dict[str, tuple[Owner, ...]], list[Unread]]:
    """What gives a finding its owners and its team, the owners of Graph, and what of all that could not be read."""
    by_app: dict[str, list[str]] = {}
    for entity in entities(snapshot):
        by_app.setdefault(entity.app_id.lower(), []).append(entity.id)

    def related(finding: Finding) -> tuple[str, ...]:
        app_id = finding.facts.get("client_id") or finding.facts.get("app_id") or ""
        return tuple(by_app.get(str(app_id).lower(), ()))

    wanted = [path for finding in observed.findings for path in (finding.resource_id, *related(finding))]
    graph = [path for path in wanted if path.startswith(("/applications/", "/servicePrincipals/"))]
    clusters = {one.id.lower(): one for one in snapshot.clusters}
    concerned = [clusters[one.resource_id.lower()] for one in observed.findings if one.resource_id.lower() in clusters]
    (owners, unread), (groups, more) = await asyncio.gather(
        graph_owners(clients.entra, snapshot.applications, graph),
        _resource_group_tags(clients.aks, {one.subscription_id for one in concerned}),
    )
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

    def assigned(finding: Finding) -> Finding:
        return assign(finding, related(finding), directory)

    return assigned, owners, [*unread, *more]


async def _resource_group_tags(
    aks: Aks, subscription_ids: Iterable[str]
) -> tuple[dict[tuple[str, str], Mapping[str, str]], list[Unread]]:
    unread: list[Unread] = []
    answers = await each(sorted(subscription_ids), aks.list_resource_group_tags, unread)
    return {(one, name): values for one, found in answers for name, values in found.items()}, unread
