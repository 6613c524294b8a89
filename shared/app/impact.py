"""Which role assignments clusters rest on, and what breaks if one of them goes: the question before a clean-up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .. import drift
from ..access import RoleDefinition, last_segment
from ..model import Snapshot, Unread
from ..needs import Support, load_bearing, needs, pulls
from ..settings import Settings
from .access import read_access
from .connect import Clients
from .estate import Progress, read_azure, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """The load-bearing assignments of every cluster that can be read, and what cannot."""

    supports: tuple[Support, ...]
    definitions: tuple[RoleDefinition, ...]
    unread: tuple[Unread, ...]
    clusters: frozenset[str]
    """The clusters that were read, by lower-case id and name."""
    principals: frozenset[str]
    """Whoever clusters sign in as or run workloads as, their groups, and who else holds a role, by object id."""
    assignments: frozenset[str]
    """The role assignments of those, by lower-case id and GUID."""

    def role(self, role_id: str) -> str:
        """The name of a role by its GUID, or the GUID where the role was not read."""
        return next((one.name for one in self.definitions if one.role_id == role_id and one.name), role_id)


async def impact(
    clients: Clients, settings: Settings, now: datetime, progress: Progress = silent, *, about: str = ""
) -> Impact:
    """Read the tenant's clusters and what they may do now; stores nothing. Raises ReadError.

    What is asked `about`, the GUID of a principal or of a role assignment, is read even if it is no cluster's.
    """
    estate = await read_azure(clients.aks, settings, {}, progress)
    unread = list(estate.unread)
    subscriptions = [one.subscription_id for one in estate.subscriptions]
    besides = {last_segment(about)} if about else ()
    reading = await read_access(clients, estate.clusters, {}, subscriptions=subscriptions, besides=besides)
    snapshot = Snapshot(taken=now, tenant_id="", clusters=estate.clusters, service_principals=reading.principals)
    access = reading.access
    granted = drift.held_now(access)
    around = drift.surroundings(snapshot, access)
    every = [
        need
        for cluster in estate.clusters
        for need in (*needs(cluster, around), *pulls(cluster, granted, access.registries, around))
    ]
    return Impact(
        supports=load_bearing(every, granted),
        definitions=access.definitions,
        unread=(*unread, *reading.unread),
        clusters=frozenset(name.lower() for one in estate.clusters for name in (one.id, one.name)),
        principals=frozenset(
            {*reading.watched, *reading.members, *(one.principal_id.lower() for one in access.assignments)}
        ),
        assignments=frozenset(name for one in access.assignments for name in (one.key, last_segment(one.id))),
    )
