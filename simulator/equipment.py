"""What AKS makes along with a cluster: the node resource group, the identities, and the right to manage that group."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from .access import RoleAssignment
from .clusters import Cluster
from .entities import ResourceGroup, ServicePrincipal, UserAssignedIdentity, derived

if TYPE_CHECKING:
    from .tenant import Tenant


def equip(tenant: Tenant, cluster: Cluster, at: datetime) -> None:
    """Give a cluster what AKS makes for it, as far as it does not have that; brought identities are left alone."""
    if not any(group.id.lower() == cluster.node_group_id.lower() for group in tenant.groups):
        tags = {"aks-managed-cluster-name": cluster.name, "aks-managed-cluster-rg": cluster.group}
        tenant.groups.append(
            ResourceGroup(
                subscription_id=cluster.subscription_id,
                name=cluster.node_group,
                location=cluster.location,
                tags=tags,
                managed_by=cluster.id,
            )
        )
    if cluster.managed:
        _give_identities(tenant, cluster, at)
        principal = cluster.principal_id
    else:
        entity = tenant.service_principals.peek(cluster.client_id)
        principal = entity.id if entity else ""
    if principal:
        tenant.access.put(
            RoleAssignment(
                name=derived(tenant.id, "node group", cluster.id, principal),
                scope=cluster.node_group_id,
                role=tenant.access.role("Contributor").id,
                principal_id=principal,
                created=at,
            )
        )


def _give_identities(tenant: Tenant, cluster: Cluster, at: datetime) -> None:
    life = () if cluster.life == 1 else (str(cluster.life),)
    if cluster.identity:
        brought = identity_of(tenant, cluster.identity)
        cluster.principal_id, cluster.identity_client_id = brought.principal_id, brought.client_id
    else:
        cluster.principal_id = derived(tenant.id, "identity", cluster.name, *life)
        client_id = derived(tenant.id, "identity client", cluster.name, *life)
        add_principal(tenant, cluster.principal_id, client_id, cluster.name, cluster.id, at)
    if cluster.kubelet_identity:
        kubelet = identity_of(tenant, cluster.kubelet_identity)
    else:
        kubelet = UserAssignedIdentity(
            subscription_id=cluster.subscription_id,
            group=cluster.node_group,
            name=f"{cluster.name}-agentpool",
            client_id=derived(tenant.id, "kubelet client", cluster.name, *life),
            principal_id=derived(tenant.id, "kubelet", cluster.name, *life),
        )
        add_identity(tenant, kubelet, at)
    cluster.kubelet_object_id, cluster.kubelet_client_id = kubelet.principal_id, kubelet.client_id


def identity_of(tenant: Tenant, identity_id: str) -> UserAssignedIdentity:
    """The user-assigned identity of that id, whatever its case."""
    for one in tenant.identities:
        if one.id.lower() == identity_id.lower():
            return one
    raise KeyError(identity_id)


def add_identity(tenant: Tenant, identity: UserAssignedIdentity, at: datetime) -> None:
    """Add a user-assigned identity and its service principal."""
    tenant.identities.append(identity)
    add_principal(tenant, identity.principal_id, identity.client_id, identity.name, identity.id, at)


def add_principal(tenant: Tenant, object_id: str, client_id: str, name: str, resource_id: str, at: datetime) -> None:
    """Add the service principal of a managed identity."""
    tenant.service_principals.append(
        ServicePrincipal(
            id=object_id, app_id=client_id, name=name, created=at, type="ManagedIdentity", resource_id=resource_id
        )
    )
