"""The subscriptions of a generated tenant: clusters, what these stand on, and any number of role assignments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from .access import ROOT, ManagementGroup, RoleAssignment
from .clusters import Cluster, Pool
from .entities import Registry, Resource, ResourceGroup, ServicePrincipal, Subscription, derived
from .equipment import equip
from .names import principal
from .tenant import Tenant

GROUP = "rg-clusters"
ROLES = ("Reader", "Contributor", "Key Vault Secrets User", "Monitoring Reader", "Storage Blob Data Owner", "AcrPull")
INHERITED = 20
"""One of so many of the other assignments is made on the management group, one of these on the root."""


def add_clusters(tenant: Tenant, subscriptions: int, clusters: int, clients: Sequence[str], assignments: int) -> None:
    """Add all of it; the first clusters sign in as applications, whose appIds are given."""
    for number in range(subscriptions):
        identity = derived(tenant.id, "subscription", str(number))
        tenant.subscriptions.append(Subscription(id=identity, name=f"Subscription {number}"))
        tags = {"team": f"team{number}"}
        tenant.groups.append(ResourceGroup(subscription_id=identity, name=GROUP, tags=tags))
        if number < clusters:
            tenant.registries.append(Registry(subscription_id=identity, group=GROUP, name=f"registry{number}"))
            network = "Microsoft.Network/virtualNetworks"
            tenant.resources.append(Resource(subscription_id=identity, group=GROUP, type=network, name="vnet"))
    tenant.access.management_groups.append(
        ManagementGroup(name="everything", subscriptions=[one.id for one in tenant.subscriptions])
    )
    for number in range(clusters if subscriptions else 0):
        _add_cluster(tenant, number, clients[number] if number < len(clients) else "")
    if subscriptions:
        _add_others(tenant, assignments - len(tenant.access))


def _add_cluster(tenant: Tenant, number: int, client_id: str) -> None:
    place = number % len(tenant.subscriptions)
    subscription, registry = tenant.subscriptions[place], tenant.registries[place]
    name = f"cluster-{number:04d}"
    subnet = Resource(
        subscription_id=subscription.id,
        group=GROUP,
        type="Microsoft.Network/virtualNetworks/subnets",
        name=f"vnet/{name}",
    )
    tenant.resources.append(subnet)
    cluster = Cluster(
        subscription_id=subscription.id,
        group=GROUP,
        name=name,
        client_id=client_id or "msi",
        pools=[Pool(name="system", subnet=subnet.id)],
    )
    if client_id and not tenant.service_principals.peek(client_id):
        tenant.service_principals.append(
            ServicePrincipal(
                id=derived(tenant.id, "principal", client_id), app_id=client_id, name=name, created=tenant.starts
            )
        )
    tenant.clusters.append(cluster)
    equip(tenant, cluster, tenant.starts)
    for identity, role, scope in (("kubelet", "AcrPull", registry.id), ("cluster", "Network Contributor", subnet.id)):
        tenant.access.put(
            RoleAssignment(
                name=derived(tenant.id, "assignment", name, role),
                scope=scope,
                role=tenant.access.role(role).id,
                principal_id=principal(tenant, {"cluster": name, "identity": identity}),
                created=tenant.starts - timedelta(days=200),
            )
        )


def _add_others(tenant: Tenant, count: int) -> None:
    roles = [tenant.access.role(name).id for name in ROLES]
    created = tenant.starts - timedelta(days=400)
    begin = tenant.id[:24]
    made = []
    for number in range(count):
        if number % INHERITED:
            subscription = tenant.subscriptions[number // INHERITED % len(tenant.subscriptions)]
            scope = f"/subscriptions/{subscription.id}/resourceGroups/rg-{number % 97:03d}"
        else:
            scope = ROOT if number % INHERITED**2 == 0 else tenant.access.management_groups[0].id
        made.append(
            RoleAssignment(
                name=f"{begin}{number:012x}",
                scope=scope,
                role=roles[number % len(roles)],
                principal_id=f"{begin[:19]}ffff-{number // 3:012x}",
                principal_type="ServicePrincipal" if number % 4 else "User",
                created=created,
            )
        )
    tenant.access.put(*made)
