"""What the identities of clusters need, hold, held before and lost, judged; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from sys import intern

from .access import (
    Access,
    BaselineGrant,
    FederatedIdentityCredential,
    Membership,
    RoleDefinition,
    UserAssignedIdentity,
    reaches,
    subscription_of,
)
from .model import ManagedCluster, ServicePrincipal, Snapshot
from .needs import Cause, Identity, Need, Unknown, World, judge, needs, principal, pulls, unknowns, world
from .permissions import Grants, Verdict, equivalent, grants, permits

_BEHIND = (ManagedCluster, UserAssignedIdentity, FederatedIdentityCredential, Membership, ServicePrincipal)
"""What tells which identities stand behind clusters."""

REMOVED = "role_assignment_deleted"
"""The rule whose findings are the evidence of the others."""

PULL = "aks_kubelet_cannot_pull"
JOIN = "aks_cluster_cannot_join_subnet"
MANAGE = "aks_cluster_cannot_manage_node_group"
ASSIGN = "aks_cluster_cannot_assign_kubelet"
DNS = "aks_cluster_cannot_edit_dns_zone"
_OF_CLUSTER = (JOIN, MANAGE, ASSIGN, DNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A need of a cluster: whether it is held, whether it ever was, and which lost grants gave it."""

    cluster: ManagedCluster
    need: Need
    now: Verdict
    before: Verdict
    lost: tuple[BaselineGrant, ...]
    """The grants that gave it and are gone, the latest loss first."""
    standing: tuple[BaselineGrant, ...] = ()
    """The grants that gave it, are still there and do not give it any more."""
    by: tuple[str, ...] = ()
    """The scopes of the grants that give it now."""
    through_group: bool = False
    """Whether it was ever held through a group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """Rules that can say nothing of a cluster, and why."""

    cluster: ManagedCluster
    rules: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An identity that clusters depend on."""

    principal_id: str
    identity: Identity
    name: str
    """How it is called on a card: `kubelet identity` or the like."""
    clusters: tuple[ManagedCluster, ...]
    identity_id: str = ""
    """The id of the user-assigned identity that it is, or the path of the application; empty for another one."""


@lru_cache(maxsize=1)
def surroundings(snapshot: Snapshot, access: Access | None = None) -> World:
    """What the clusters of a snapshot refer to by id, perhaps with an access part of its own."""
    access = access or snapshot.access
    return world(
        subnets=access.subnets,
        identities=access.identities,
        service_principals=snapshot.service_principals,
    )


def watched(clusters: Sequence[ManagedCluster], around: World, access: Access) -> dict[str, Watched]:
    """The identities that clusters depend on, by lower-case object id: their own, those of add-ons, and workloads'."""
    found: dict[str, Watched] = {}

    def add(principal_id: str, identity: Identity, name: str, cluster: ManagedCluster, identity_id: str = "") -> None:
        key = intern(principal_id.lower())
        old = found.get(key)
        if principal_id and old is None:
            found[key] = Watched(
                principal_id=principal_id, identity=identity, name=name, clusters=(cluster,), identity_id=identity_id
            )
        elif old and cluster not in old.clusters:
            found[key] = replace(old, clusters=(*old.clusters, cluster))

    issuers: dict[str, list[ManagedCluster]] = {}
    for cluster in clusters:
        given = {Identity.CLUSTER: cluster.identities[:1], Identity.KUBELET: tuple(filter(None, [cluster.kubelet]))}
        for identity, shown in given.items():
            held = principal(cluster, identity, around)
            if isinstance(held, str):
                name = "service principal" if cluster.client_id else f"{identity.value} identity"
                add(held, identity, name, cluster, shown[0].id if shown and not cluster.client_id else "")
        for addon, one in cluster.addons.items():
            add(one.principal_id, Identity.WORKLOAD, f"identity of add-on {addon}", cluster, one.id)
        if cluster.oidc_issuer:
            issuers.setdefault(cluster.oidc_issuer.rstrip("/").lower(), []).append(cluster)
    for credential in access.federated:
        read = around.identities.get(credential.identity_id.lower())
        for cluster in issuers.get(credential.issuer.rstrip("/").lower(), ()):
            if read:
                add(read.principal_id, Identity.WORKLOAD, f"workload identity {read.name}", cluster, read.id)
            elif credential.principal_id:
                name = f"workload identity {credential.holder or credential.app_id}"
                add(credential.principal_id, Identity.WORKLOAD, name, cluster, credential.identity_id)
    return found


def blurred(snapshot: Snapshot, clusters: Iterable[ManagedCluster]) -> bool:
    """Whether it is not known in full which identities stand behind these clusters."""
    around = surroundings(snapshot)
    return any(one.kind in _BEHIND for one in snapshot.unread) or any(
        isinstance(principal(cluster, identity, around), Unknown)
        for cluster in clusters
        for identity in (Identity.CLUSTER, Identity.KUBELET)
    )


def held_now(access: Access) -> Grants:
    """What everybody holds now."""
    return grants(access.assignments, access.definitions, access.memberships)


def held_ever(access: Access) -> Grants:
    """What everybody holds or ever held, and who is or was in which group."""
    groups: dict[str, list[str]] = {row.principal_id.lower(): list(row.groups) for row in access.memberships}
    for row in access.baseline:
        for member in row.via:
            groups.setdefault(member.lower(), []).append(row.assignment.principal_id)
    every = (*access.assignments, *(row.ever for row in access.baseline))
    memberships = [Membership(principal_id=one, groups=tuple(many)) for one, many in groups.items()]
    return grants(every, access.definitions, memberships)


@lru_cache(maxsize=1)
def judged(snapshot: Snapshot) -> tuple[Judged | Blind, ...]:
    """Every need of every cluster of a snapshot, and where nothing can be said."""
    access, around = snapshot.access, surroundings(snapshot)
    now, ever = held_now(access), held_ever(access)
    roles = {one.role_id: one for one in access.definitions}
    rows: dict[str, list[BaselineGrant]] = {}
    for row in sorted(access.baseline, key=_latest_first):
        for holder in row.holders:
            rows.setdefault(holder, []).append(row)
    found: list[Judged | Blind] = []
    for cluster in snapshot.clusters:
        found += (_blind(cluster, unknown) for unknown in unknowns(cluster, around))
        hidden = _hidden_pulls(cluster, around, ever, access)
        if hidden:
            found.append(Blind(cluster=cluster, rules=(PULL,), why=hidden))
        for need in (*needs(cluster, around), *pulls(cluster, ever, access.registries, around)):
            found.append(_judge(cluster, need, now, ever, rows.get(need.principal_id.lower(), ()), roles, snapshot))
    return tuple(found)


def _latest_first(row: BaselineGrant) -> tuple[float, str]:
    return (-row.deleted_at.timestamp() if row.deleted_at else 0, row.assignment.key)


def _judge(
    cluster: ManagedCluster,
    need: Need,
    now: Grants,
    ever: Grants,
    rows: Sequence[BaselineGrant],
    roles: Mapping[str, RoleDefinition],
    snapshot: Snapshot,
) -> Judged:
    answer = judge(need, now)
    verdict = answer.verdict
    if verdict is Verdict.NO and subscription_of(need.scope) not in snapshot.access.listed:
        # Nobody could see a grant there.
        verdict = Verdict.UNKNOWN

    def gave(row: BaselineGrant) -> bool:
        role = roles.get(row.assignment.role_id)
        if role is None or not reaches(row.ever, need.scope):
            return False
        return any(permits(role, action) for action in need.actions) or any(
            permits(role, action, data=True) for action in need.data_actions
        )

    before = judge(need, ever)
    return Judged(
        cluster=cluster,
        need=need,
        now=verdict,
        before=before.verdict,
        lost=tuple(row for row in rows if row.lost and gave(row)),
        standing=tuple(row for row in rows if not row.lost and gave(row)) if verdict < Verdict.MAYBE else (),
        by=tuple(grant.assignment.scope for grant in answer.grants),
        through_group=any(grant.group for grant in before.grants),
    )


def _blind(cluster: ManagedCluster, unknown: Unknown) -> Blind:
    if unknown.cause is Cause.SUBNET_UNREAD:
        rules: tuple[str, ...] = (JOIN,)
    elif unknown.cause is Cause.CHANGING or cluster.client_id:
        rules = (*_OF_CLUSTER, PULL, REMOVED)
    else:
        rules = (PULL,) if unknown.identity is Identity.KUBELET else _OF_CLUSTER
    return Blind(cluster=cluster, rules=rules, why=str(unknown.cause))


def _hidden_pulls(cluster: ManagedCluster, around: World, ever: Grants, access: Access) -> str:
    """Why not all is known that a cluster may pull or might; empty if it is."""
    kubelet = principal(cluster, Identity.KUBELET, around)
    for grant in ever.of(kubelet) if isinstance(kubelet, str) else ():
        if grant.definition is None:
            return f"role {grant.assignment.role_id} could not be read"
        own = subscription_of(grant.assignment.scope)
        for name in {own} if own else grant.assignment.listed_in:
            if name.lower() not in access.registries_of:
                return f"the registries of subscription {name} could not be read"
    return ""


@lru_cache(maxsize=1)
def again(snapshot: Snapshot) -> dict[tuple[str, str], Verdict]:
    """Whether what a lost row of the baseline gave is held again, by lower-case assignment id and holder.

    By an equal grant, or since all that rests on it is held; UNKNOWN where that could not be judged. What counted for
    nobody who is behind a cluster now is made good.
    """
    access = snapshot.access
    now = held_now(access)
    definitions = {one.role_id: one for one in access.definitions}
    unread = {one.kind for one in snapshot.unread}
    resting: dict[tuple[str, str], list[Judged]] = {}
    blind = set()
    for item in judged(snapshot):
        if isinstance(item, Blind):
            blind.add(item.cluster.id)
            continue
        for row in item.lost:
            resting.setdefault((row.assignment.key, item.need.principal_id.lower()), []).append(item)
    people = watched(snapshot.clusters, surroundings(snapshot), access)
    nobody = Verdict.UNKNOWN if blurred(snapshot, snapshot.clusters) else Verdict.YES

    def judge_one(row: BaselineGrant, holder: str) -> Verdict:
        one, role = row.assignment, definitions.get(row.assignment.role_id)
        identity = people.get(holder)
        if identity is None:
            return nobody
        needed = resting.get((one.key, holder), ())
        # At a management group an equal grant need not reach what the lost one did: subscriptions move.
        places = (one.scope, *(item.need.scope for item in needed))
        if all(equivalent(now, holder, replace(one, scope=place), role) for place in places):
            return Verdict.YES
        if needed:
            worst = min(item.now for item in needed)
            hidden = any(cluster.id in blind for cluster in identity.clusters)
            return worst if worst < Verdict.MAYBE else Verdict.UNKNOWN if hidden else Verdict.YES
        if row.via and now.complete(holder) and one.principal_id.lower() not in now.groups[holder]:
            # It left the group before the group lost this.
            return Verdict.YES
        dark = role is None and RoleDefinition in unread
        unclear = any(grant.definition is None and reaches(grant.assignment, one.scope) for grant in now.of(holder))
        own = subscription_of(one.scope)
        unlisted = own not in access.listed if own else not access.listed
        return Verdict.UNKNOWN if dark or unclear or unlisted or not now.complete(holder) else Verdict.NO

    return {
        (row.assignment.key, holder): judge_one(row, holder)
        for row in access.baseline
        if row.lost
        for holder in row.holders
    }


def settled(snapshot: Snapshot) -> frozenset[str]:
    """The lost rows of the baseline, by lower-case assignment id, that need not be remembered any more."""
    verdicts = again(snapshot)
    return frozenset(key for key, _ in verdicts) - {key for (key, _), one in verdicts.items() if one < Verdict.YES}
