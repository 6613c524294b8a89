"""Worlds in which the rules of the whole catalogue fire, beyond those about a lost right (tests/estate.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared import former
from shared.access import (
    Access,
    BaselineGrant,
    FederatedIdentityCredential,
    Membership,
    RoleAssignment,
    UserAssignedIdentity,
)
from shared.model import (
    Application,
    EventSubscription,
    Former,
    ManagedCluster,
    NodePool,
    ServicePrincipal,
    Snapshot,
    Unread,
)

from .builders import (
    CLIENT_ID,
    NOW,
    SP_OBJECT,
    SUBSCRIPTION,
    TENANT_ID,
    after,
    application,
    secret,
    service_principal,
    subscription,
)
from .estate import CONTROL_ID, CUSTOM, IDENTITIES, KUBELET, KUBELET_ID, NODES, REGISTRY, ROLES, SUBNET, S, assignment
from .estate import cluster as made

MARK = "0f0f0f0f-0000-4000-8000-000000000001"
ISSUER = f"https://westeurope.oic.prod-aks.azure.com/{TENANT_ID}/{MARK}/"
DEAD = ISSUER.replace(MARK, "0f0f0f0f-0000-4000-8000-00000000dead")
WORKLOAD_ID = "dddddddd-0000-4000-8000-000000000001"
WORKLOAD = UserAssignedIdentity(id=f"{IDENTITIES}/checkout", client_id="c3", principal_id=WORKLOAD_ID)
NEW_CONTROL = "cccccccc-0000-4000-8000-000000000002"
NEW_KUBELET = "aaaaaaaa-0000-4000-8000-000000000002"
VAULT = f"{S}/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/shop"
APP_ID = f"{S}/resourceGroups/fusewatch/providers/Microsoft.Web/sites/fusewatch"
SUBJECT = "system:serviceaccount:shop:checkout"


def cluster(**changes: Any) -> ManagedCluster:
    """The cluster of tests/estate.py with a system-assigned identity, an issuer, and workload identity on."""
    fields: dict[str, Any] = {
        "identity_type": "SystemAssigned",
        "principal_id": CONTROL_ID,
        "identities": (),
        "kubelet": KUBELET,
        "oidc_issuer": ISSUER,
        "workload_identity": True,
        "private": False,
        "private_dns_zone": "",
    }
    return made(**{**fields, **changes})


def on_principal(**changes: Any) -> ManagedCluster:
    """The same cluster before its conversion, on a service principal."""
    return cluster(**{"client_id": CLIENT_ID, "identity_type": "", "principal_id": "", "kubelet": None, **changes})


def trust(**changes: Any) -> FederatedIdentityCredential:
    """A federated credential of the workload identity for a service account of the cluster."""
    fields: dict[str, Any] = {
        "id": f"{WORKLOAD.id}/federatedIdentityCredentials/shop",
        "identity_id": WORKLOAD.id,
        "issuer": ISSUER,
        "subject": SUBJECT,
        "audiences": ("api://AzureADTokenExchange",),
        "holder": WORKLOAD.name,
    }
    return FederatedIdentityCredential(**{**fields, **changes})


def app_trust(**changes: Any) -> FederatedIdentityCredential:
    """The same of an application."""
    holder = application()
    path = f"{holder.id}/federatedIdentityCredentials/shop"
    fields = {"id": path, "identity_id": holder.id, "app_id": holder.app_id, "holder": holder.name}
    return trust(**{**fields, "principal_id": SP_OBJECT, **changes})


def row(
    one: RoleAssignment, *, lost: datetime | None = None, seen: datetime = after(-30), via: Sequence[str] = ()
) -> BaselineGrant:
    """A row of the baseline, seen a month ago."""
    return BaselineGrant(assignment=one, first_seen=seen, deleted_at=lost, via=tuple(via))


def scan(
    *clusters: ManagedCluster,
    trusts: Sequence[FederatedIdentityCredential] = (),
    live: Sequence[RoleAssignment] = (),
    baseline: Sequence[BaselineGrant] = (),
    groups: Mapping[str, Sequence[str]] | None = None,
    before: Former | None = None,
    principals: Sequence[ServicePrincipal] = (),
    applications: Sequence[Application] = (),
    unread: Sequence[Unread] = (),
    listed: Sequence[str] = (SUBSCRIPTION,),
    members: Sequence[str] = (CONTROL_ID, KUBELET_ID, NEW_CONTROL, NEW_KUBELET, WORKLOAD_ID, SP_OBJECT),
    now: datetime = NOW,
    **changes: Any,
) -> Snapshot:
    """What a scan sees, compared with what it knew of each cluster before."""
    snapshot = Snapshot(
        taken=now,
        tenant_id=TENANT_ID,
        subscriptions=(subscription(),),
        clusters=clusters or (cluster(),),
        applications=tuple(applications),
        service_principals=tuple(principals),
        access=Access(
            assignments=tuple(live),
            listed=frozenset(listed),
            definitions=(*ROLES.values(), CUSTOM),
            memberships=tuple(
                Membership(principal_id=one, groups=tuple((groups or {}).get(one, ()))) for one in members
            ),
            identities=(WORKLOAD, KUBELET),
            federated=tuple(trusts),
            baseline=tuple(baseline),
        ),
        unread=tuple(unread),
    )
    known = {one.id.lower(): before for one in snapshot.clusters if before}
    snapshot = replace(snapshot, former=former.all_seen(snapshot, known))
    return replace(snapshot, **changes)


def remembered(*clusters: ManagedCluster, now: datetime = after(-1), **changes: Any) -> Former:
    """What the scan of yesterday knew of the cluster."""
    snapshot = scan(*clusters, now=now, **changes)
    return snapshot.former[snapshot.clusters[0].id.lower()]


def rebuilt(**changes: Any) -> ManagedCluster:
    """The cluster made anew: the same id and names, other principals and another issuer."""
    kubelet = replace(KUBELET, client_id="c4", principal_id=NEW_KUBELET)
    return cluster(**{"principal_id": NEW_CONTROL, "kubelet": kubelet, "oidc_issuer": DEAD, **changes})


def replaced(*live: RoleAssignment, **changes: Any) -> Snapshot:
    """A scan after a rebuild: the old identities held pull, join and the node group; the new hold what is `live`."""
    old = [
        assignment("AcrPull", REGISTRY, KUBELET_ID),
        assignment("Network Contributor", SUBNET, CONTROL_ID),
        assignment("Contributor", NODES, CONTROL_ID),
    ]
    fields = {"before": remembered(cluster()), "baseline": [row(one) for one in old], "live": live}
    return scan(rebuilt(), **{**fields, **changes})


POOLS = (NodePool(name="system", image="image-1"), NodePool(name="web", image="image-1"))


def converted(images: Sequence[str] = ("image-2", "image-2"), **changes: Any) -> Snapshot:
    """A scan after a conversion, a day after one that saw the cluster on its service principal."""
    principal = service_principal()
    old = remembered(on_principal(pools=POOLS), principals=[principal])
    pools = tuple(replace(pool, image=image) for pool, image in zip(POOLS, images, strict=True))
    fields: dict[str, Any] = {"before": old, "principals": [principal]}
    return scan(cluster(pools=pools), **{**fields, **changes})


def worlds() -> list[Snapshot]:
    """Snapshots in which every variant of every one of these rules fires."""
    wired = EventSubscription(id=f"{S}/x", function_id="")
    lost = assignment("Key Vault Secrets User", VAULT, WORKLOAD_ID)
    return [
        scan(cluster(pod_identity=True)),
        scan(live=[assignment("Owner", S, KUBELET_ID)]),
        replaced(),
        converted(("image-1", "image-1")),
        converted(applications=[application(secret())]),
        converted(live=[assignment("Reader", S, SP_OBJECT)], principals=[]),
        scan(trusts=[trust(issuer=DEAD), app_trust(issuer=DEAD)]),
        scan(trusts=[trust(issuer=ISSUER.rstrip("/")), app_trust(issuer=ISSUER.rstrip("/"))]),
        scan(rebuilt(), trusts=[trust(), app_trust()], before=remembered(cluster())),
        scan(trusts=[trust(subject="shop/checkout"), app_trust(subject="shop/checkout")]),
        scan(cluster(workload_identity=False), trusts=[trust()]),
        scan(trusts=[trust()]),
        scan(trusts=[trust()], baseline=[row(lost, lost=after(-1))]),
        scan(function_app_id=APP_ID, event_subscriptions=(wired,)),
    ]
