"""Read who may do what, as far as clusters depend on it: the access part of a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .. import drift
from ..access import (
    Access,
    BaselineGrant,
    FederatedIdentityCredential,
    Level,
    RoleAssignment,
    RoleDefinition,
    UserAssignedIdentity,
    level,
    reaches,
    subscription_of,
)
from ..clients.http import NotFoundError, ReadError
from ..model import ManagedCluster, ServicePrincipal, Unread, covers
from ..needs import Identity, World, principal, world
from .connect import Clients
from .reads import each


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read of access, what could not be, and what is needed to compare it with the baseline."""

    access: Access = Access()
    principals: tuple[ServicePrincipal, ...] = ()
    """The service principals that clusters sign in as."""
    unread: tuple[Unread, ...] = ()
    watched: Mapping[str, drift.Watched] = field(default_factory=dict)
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The watched identities in each group, all lower-case object ids."""
    gone: frozenset[str] = frozenset()
    """Lower-case object ids of principals that Graph says do not exist."""


async def read_access(
    clients: Clients,
    clusters: Sequence[ManagedCluster],
    known: Mapping[str, BaselineGrant],
    *,
    subscriptions: Sequence[str],
    identities: Sequence[str] | None = None,
    registries: Sequence[str] | None = None,
    besides: Collection[str] = (),
) -> Reading:
    """Who may do what, for these clusters, and for the principals or role assignments `besides`, by lower-case GUID.

    The role assignments of `subscriptions` are listed; elsewhere the baseline stands for them. With `identities` only
    those are read beside the clusters' own; without, every identity of the subscriptions is, with what it trusts, and
    every application that trusts anything.
    Registries are looked for in `registries`, or else in the same subscriptions.
    """
    unread: list[Unread] = []
    behind = sorted({cluster.client_id for cluster in clusters if cluster.client_id})
    (found, gone, federated), (principals, refused), trusted = await asyncio.gather(
        _identities(clients, clusters, subscriptions, identities, unread),
        clients.entra.list_principals_of(behind),
        _applications(clients, clusters, identities, unread),
    )
    federated += trusted
    unread += refused
    around = world(identities=found, service_principals=principals)
    watched = drift.watched(clusters, around, Access(identities=tuple(found), federated=tuple(federated)))
    memberships, lost, missing = await clients.entra.list_memberships(sorted(watched))
    unread += missing
    members: dict[str, set[str]] = {}
    for membership in memberships:
        for group in membership.groups:
            members.setdefault(group.lower(), set()).add(membership.principal_id.lower())
    near = watched.keys() | members.keys() | set(besides)
    remembered = [row for row in known.values() if near & {row.assignment.principal_id.lower(), *row.holders}]
    # What the baseline holds is looked for, whether or not it can be told today whose it is: that of a group, too,
    # which somebody has left since.
    wanted = near | {row.assignment.principal_id.lower() for row in known.values()}
    assignments, listed = await _assignments(clients, subscriptions, wanted, unread)
    # Where nothing was listed now, what was seen last stands, unless it is known to be gone.
    assignments += [
        row.assignment for row in remembered if not row.lost and _subscriptions(row.assignment).isdisjoint(listed)
    ]
    every = [*assignments, *(row.assignment for row in remembered)]
    definitions = await read_definitions(clients, every, listed, unread)
    access = Access(
        assignments=tuple(assignments),
        listed=listed,
        definitions=tuple(definitions),
        memberships=tuple(memberships),
        identities=tuple(found),
        gone=frozenset(gone),
        federated=tuple(federated),
    )
    places = subscriptions if registries is None else registries
    wanted_in = _registry_subscriptions(clusters, around, access, remembered, places)
    listings = await each(wanted_in, clients.resources.list_registries, unread)
    dark = {name.lower() for name in wanted_in} - {name.lower() for name, _ in listings}
    subnets = await each(linked_subnets(clusters), clients.resources.get_subnet, unread)
    return Reading(
        principals=tuple(principals),
        access=replace(
            access,
            registries=tuple(one for _, some in listings for one in some),
            registries_of=frozenset(name.lower() for name in places) - dark,
            subnets=tuple(one for _, one in subnets),
        ),
        unread=tuple(dict.fromkeys(unread)),
        watched=watched,
        members={group: frozenset(some) for group, some in members.items()},
        gone=lost,
    )


async def _identities(
    clients: Clients,
    clusters: Sequence[ManagedCluster],
    subscriptions: Sequence[str],
    named: Sequence[str] | None,
    unread: list[Unread],
) -> tuple[list[UserAssignedIdentity], set[str], list[FederatedIdentityCredential]]:
    """The identities that exist, the ids of those that do not, and what the former trust."""
    named = None if named is None else [one for one in named if not one.startswith(_APPLICATIONS)]
    own = {one.id.lower(): one.id for one in _shown(clusters)}
    found: dict[str, UserAssignedIdentity] = {}
    if named is None:
        listings = await each(subscriptions, clients.identities.list_identities, unread)
        found = {one.id.lower(): one for _, some in listings for one in some}
    asked = {**own, **{one.lower(): one for one in named or ()}}
    gone: set[str] = set()

    async def get(identity_id: str) -> UserAssignedIdentity:
        try:
            return await clients.identities.get_identity(identity_id)
        except NotFoundError:
            gone.add(identity_id.lower())
            raise

    answers = await each([one for key, one in asked.items() if key not in found], get, unread)
    found |= {one.id.lower(): one for _, one in answers}
    federated: list[FederatedIdentityCredential] = []
    if named is None or any(cluster.oidc_issuer for cluster in clusters):
        # AKS made those in a node resource group; nobody federates them.
        nodes = [cluster.node_group_id for cluster in clusters if cluster.node_group_id]
        groups = {group.lower() for group in nodes}
        asked_of = [
            one.id
            for key, one in found.items()
            if (named is None or key in {name.lower() for name in named}) and "/".join(key.split("/")[:5]) not in groups
        ]
        some = await each(asked_of, clients.identities.list_federated_credentials, unread)
        federated = [one for _, many in some for one in many]
    return list(found.values()), gone, federated


_APPLICATIONS = "/applications/"


async def _applications(
    clients: Clients, clusters: Sequence[ManagedCluster], named: Sequence[str] | None, unread: list[Unread]
) -> list[FederatedIdentityCredential]:
    """What applications trust; with the service principal of those that trust one of the clusters."""
    ids = None if named is None else [one.removeprefix(_APPLICATIONS) for one in named if one.startswith(_APPLICATIONS)]
    if ids == []:
        return []
    found, missing = await clients.entra.list_federated_credentials(ids)
    issuers = {one.oidc_issuer.rstrip("/").lower() for one in clusters if one.oidc_issuer}
    behind = sorted({one.app_id for one in found if one.issuer.rstrip("/").lower() in issuers})
    entities, refused = await clients.entra.list_principals_of(behind)
    unread += [*missing, *refused]
    by_app = {one.app_id.lower(): one.object_id for one in entities}
    return [replace(one, principal_id=by_app.get(one.app_id.lower(), "")) for one in found]


def _shown(clusters: Iterable[ManagedCluster]) -> list[UserAssignedIdentity]:
    """The user-assigned identities that clusters show as their own."""
    return [
        one
        for cluster in clusters
        if not cluster.client_id
        for one in (*cluster.identities, *filter(None, [cluster.kubelet]))
        if one.id
    ]


async def _assignments(
    clients: Clients, subscriptions: Sequence[str], wanted: Iterable[str], unread: list[Unread]
) -> tuple[list[RoleAssignment], frozenset[str]]:
    """The role assignments of wanted principals, and the subscriptions that were listed in full."""
    guids = frozenset(wanted)
    missing: list[Unread] = []

    async def read(subscription_id: str) -> list[RoleAssignment]:
        some, failed = await clients.rbac.list_assignments(subscription_id, guids)
        if failed:
            raise ReadError(failed[0])
        return some

    answers = await each(subscriptions, read, missing)
    unread += missing
    return [one for _, some in answers for one in some], frozenset(name.lower() for name, _ in answers)


def _subscriptions(assignment: RoleAssignment) -> frozenset[str]:
    """The subscriptions whose listings would show an assignment."""
    own = subscription_of(assignment.scope)
    return frozenset({own}) if own else frozenset(one.lower() for one in assignment.listed_in)


async def read_definitions(
    clients: Clients, assignments: Iterable[RoleAssignment], listed: frozenset[str], unread: list[Unread]
) -> list[RoleDefinition]:
    """Each role once, by way of a subscription that can be read: built-in ones have the same GUID in all of them."""
    ids: dict[str, str] = {}
    for one in sorted(assignments, key=lambda one: (subscription_of(one.role_definition_id) not in listed, one.key)):
        ids.setdefault(one.role_id, one.role_definition_id)
    near = min(listed, default="")
    asked = [
        f"/subscriptions/{near}/providers/Microsoft.Authorization/roleDefinitions/{role_id}"
        if near and subscription_of(path) not in listed
        else path
        for role_id, path in ids.items()
    ]
    answers = await each(asked, clients.rbac.get_definition, unread)
    return [one for _, one in answers]


def _registry_subscriptions(
    clusters: Sequence[ManagedCluster],
    around: World,
    access: Access,
    remembered: Sequence[BaselineGrant],
    subscriptions: Sequence[str],
) -> list[str]:
    """The subscriptions in which a kubelet has or had any right: no other registry matters."""
    kubelets = {
        one.lower() for cluster in clusters if isinstance(one := principal(cluster, Identity.KUBELET, around), str)
    }
    groups = {
        group.lower() for one in access.memberships if one.principal_id.lower() in kubelets for group in one.groups
    }
    holders = kubelets | groups
    rows = [
        *(one for one in access.assignments if one.principal_id.lower() in holders),
        *(row.ever for row in remembered if not kubelets.isdisjoint(row.holders)),
    ]
    own = {subscription_of(row.scope) for row in rows}
    above = [row for row in rows if level(row.scope) in (Level.ROOT, Level.MANAGEMENT_GROUP)]
    return [
        name
        for name in subscriptions
        if name.lower() in own or any(reaches(row, f"/subscriptions/{name}") for row in above)
    ]


def linked_subnets(clusters: Iterable[ManagedCluster]) -> list[str]:
    """The subnets whose route table or NAT gateway a cluster has to join."""
    found: dict[str, str] = {}
    for cluster in clusters:
        linked = cluster.outbound_type.lower() in ("userdefinedrouting", "userassignednatgateway")
        if linked or cluster.network_plugin.lower() == "kubenet":
            for pool in cluster.pools:
                if pool.subnet_id and not covers(cluster.node_group_id, pool.subnet_id):
                    found.setdefault(pool.subnet_id.lower(), pool.subnet_id)
    return list(found.values())
