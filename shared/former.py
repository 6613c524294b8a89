"""What a cluster was before: principals that were replaced, a service principal that was left, old issuers; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from sys import intern

from .access import BaselineGrant, subscription_of
from .drift import held_now, surroundings
from .model import Application, Former, ManagedCluster, Replaced, ServicePrincipal, Snapshot
from .needs import Identity, World, principal
from .permissions import Grants, equivalent

ISSUERS = 5
"""How many issuers of a cluster are remembered: each rebuild makes one."""


def acting(cluster: ManagedCluster, around: World) -> dict[str, str]:
    """The lower-case object ids that a cluster acts as, by `cluster` and `kubelet`, as far as they are known."""
    found = {one.value: principal(cluster, one, around) for one in (Identity.CLUSTER, Identity.KUBELET)}
    return {name: intern(held.lower()) for name, held in found.items() if isinstance(held, str)}


def seen(old: Former, cluster: ManagedCluster, around: World, now: datetime) -> Former:
    """What is known of a cluster after a scan that began at a moment."""
    current = acting(cluster, around)
    changed = tuple(
        Replaced(identity=name, principal_id=old.principals[name], since=now)
        for name, holder in current.items()
        if old.principals.get(name, holder) != holder
    )
    replaced = tuple(
        one
        for one in (*old.replaced, *changed)
        # Who is back has not been replaced.
        if current.get(one.identity) != one.principal_id
    )
    issuers = tuple(one for one in old.issuers if one != cluster.oidc_issuer)
    after = replace(
        old,
        principals={**old.principals, **current},
        replaced=replaced,
        issuers=(*issuers, *filter(None, [cluster.oidc_issuer]))[-ISSUERS:],
    )
    if cluster.client_id:
        return replace(
            after,
            client_id=cluster.client_id.lower(),
            service_principal=current.get(Identity.CLUSTER.value, ""),
            converted=None,
            images={pool.name: pool.image for pool in cluster.pools if pool.image},
        )
    # A cluster that shows neither a service principal nor an identity has failed, and says nothing.
    if old.client_id and cluster.identity_type:
        return replace(after, converted=old.converted or now)
    return after


def all_seen(snapshot: Snapshot, known: Mapping[str, Former]) -> dict[str, Former]:
    """What is known of every cluster of a snapshot by its lower-case id, with what was known before."""
    around = surroundings(snapshot)
    return {
        one.id.lower(): seen(known.get(one.id.lower(), Former()), one, around, snapshot.taken)
        for one in snapshot.clusters
    }


def principals(former: Former) -> frozenset[str]:
    """The lower-case object ids whose grants still matter to a cluster, old ones included."""
    return frozenset(
        {*former.principals.values(), *(one.principal_id for one in former.replaced)}
        | ({former.service_principal} if former.converted and former.service_principal else set())
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """A principal of a cluster that was replaced, and what of its grants the new one does not hold."""

    cluster: ManagedCluster
    before: str
    since: datetime
    after: tuple[tuple[str, str], ...]
    """The new principals with the identity of each: a service principal is succeeded by two."""
    missing: tuple[BaselineGrant, ...]
    unclear: tuple[BaselineGrant, ...]
    """Those of which it cannot be told."""


def successions(snapshot: Snapshot) -> tuple[Succession, ...]:
    """Every principal that was replaced, for as long as that matters or cannot be told."""
    now = held_now(snapshot.access)
    found = []
    for cluster in snapshot.clusters:
        former = snapshot.former.get(cluster.id.lower())
        for before in dict.fromkeys(one.principal_id for one in former.replaced) if former else ():
            assert former
            entries = [one for one in former.replaced if one.principal_id == before]
            after = tuple(
                (former.principals[one.identity], one.identity) for one in entries if one.identity in former.principals
            )
            since = max(one.since for one in entries)
            missing, unclear = list[BaselineGrant](), list[BaselineGrant]()
            for row in snapshot.access.baseline:
                if before not in row.holders or row.first_seen > since:
                    continue
                held = [_holds(now, holder, row, snapshot) for holder, _ in after]
                if any(held):
                    continue
                (unclear if None in held else missing).append(row)
            found.append(
                Succession(
                    cluster=cluster,
                    before=before,
                    since=since,
                    after=after,
                    missing=tuple(missing),
                    unclear=tuple(unclear),
                )
            )
    return tuple(found)


def owed(snapshot: Snapshot) -> frozenset[str]:
    """The rows of the baseline, by lower-case assignment id, that a replaced principal held and the new one may lack.

    They live until the new one holds them, whatever becomes of the old one.
    """
    return frozenset(row.assignment.key for one in successions(snapshot) for row in (*one.missing, *one.unclear))


def _holds(now: Grants, holder: str, row: BaselineGrant, snapshot: Snapshot) -> bool | None:
    """Whether a principal holds what a row gave; None if that cannot be told."""
    one = row.assignment
    role = next((role for role in snapshot.access.definitions if role.role_id == one.role_id), None)
    if equivalent(now, holder, one, role):
        return True
    seen_there = subscription_of(one.scope) in snapshot.access.listed or (
        not subscription_of(one.scope) and bool(snapshot.access.listed & {name.lower() for name in one.listed_in})
    )
    return False if role and seen_there and now.complete(holder) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """What is left of the service principal that a cluster ran on."""

    cluster: ManagedCluster
    client_id: str
    converted: datetime
    application: Application | None
    service_principal: ServicePrincipal | None
    assignments: tuple[str, ...]
    """Ids of the role assignments that it still holds."""
    pools: tuple[str, ...]
    """Node pools whose image is still the one from before."""

    @property
    def credentials(self) -> int:
        """How many secrets and certificates it still has."""
        return sum(len(one.credentials) for one in (self.application, self.service_principal) if one)


def leftovers(snapshot: Snapshot) -> tuple[Leftover, ...]:
    """Every converted cluster that has left something behind.

    A service principal that another cluster still runs on is no leftover; only the old nodes are.
    """
    in_use = {one.client_id.lower() for one in snapshot.clusters if one.client_id}
    applications = {one.app_id.lower(): one for one in snapshot.applications}
    entities = {one.app_id.lower(): one for one in snapshot.service_principals}
    found = []
    for cluster in snapshot.clusters:
        former = snapshot.former.get(cluster.id.lower())
        if not former or not former.converted or not former.client_id or cluster.client_id:
            continue
        used = former.client_id in in_use
        held = () if used else snapshot.access.assignments
        left = Leftover(
            cluster=cluster,
            client_id=former.client_id,
            converted=former.converted,
            application=None if used else applications.get(former.client_id),
            service_principal=None if used else entities.get(former.client_id),
            assignments=tuple(
                one.id
                for one in held
                if former.service_principal and one.principal_id.lower() == former.service_principal
            ),
            pools=tuple(
                pool.name for pool in cluster.pools if pool.image and former.images.get(pool.name) == pool.image
            ),
        )
        if left.credentials or left.assignments or left.pools:
            found.append(left)
    return tuple(found)


def kept(snapshot: Snapshot, *, whole: bool) -> dict[str, Former]:
    """What is worth remembering of each cluster; what is over is forgotten if everything was read."""
    if not whole:
        return dict(snapshot.former)
    open_now = {(one.cluster.id.lower(), one.before) for one in successions(snapshot) if one.missing or one.unclear}
    left = {one.cluster.id.lower() for one in leftovers(snapshot)}
    after = {}
    for name, former in snapshot.former.items():
        former = replace(former, replaced=tuple(one for one in former.replaced if (name, one.principal_id) in open_now))
        if former.converted and name not in left:
            former = replace(former, client_id="", service_principal="", converted=None, images={})
        after[name] = former
    return after
