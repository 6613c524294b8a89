"""The tables of a tenant file that tell of clusters, of what they stand on, and of who may do what."""

from __future__ import annotations

from typing import Any

from .access import Group, ManagementGroup, RoleAssignment, RoleDefinition
from .clusters import AddOn, Cluster, Pool
from .credentials import Table, moment
from .entities import (
    EventSubscription,
    FederatedCredential,
    Registry,
    Resource,
    ResourceGroup,
    SystemTopic,
    UserAssignedIdentity,
    derived,
)
from .equipment import add_identity, equip, identity_of
from .names import principal, scope
from .tenant import Tenant

NETWORK = "Microsoft.Network"


def add_estate(tenant: Tenant, table: Table) -> None:
    """Add identities, registries and networks; they come before what refers to them."""
    for row in table.get("identity", []):
        group = _group(tenant, row)
        made = UserAssignedIdentity(
            subscription_id=group.subscription_id,
            group=group.name,
            name=row["name"],
            client_id=derived(tenant.id, "user-assigned client", group.id, row["name"]),
            principal_id=derived(tenant.id, "user-assigned", group.id, row["name"]),
        )
        add_identity(tenant, made, moment(row.get("created", tenant.starts)))
    for row in table.get("registry", []):
        group = _group(tenant, row)
        tenant.registries.append(
            Registry(
                subscription_id=group.subscription_id,
                group=group.name,
                name=row["name"],
                abac=row.get("abac", False),
                anonymous=row.get("anonymous", False),
            )
        )
    for kind in ("routeTables", "natGateways", "privateDnsZones"):
        for row in table.get(_snake(kind), []):
            _add_resource(tenant, row, f"{NETWORK}/{kind}", row["name"])
    for row in table.get("network", []):
        _add_resource(tenant, row, f"{NETWORK}/virtualNetworks", row["name"])
        for subnet in row.get("subnets", []):
            refers = {
                member: {"id": scope(tenant, subnet[key])}
                for member, key in (("routeTable", "route_table"), ("natGateway", "nat_gateway"))
                if key in subnet
            }
            _add_resource(
                tenant, row, f"{NETWORK}/virtualNetworks/subnets", f"{row['name']}/{subnet['name']}", **refers
            )


def add_cluster(tenant: Tenant, row: Table) -> None:
    """Add a cluster with what AKS makes for it; runs_on names the app registration that it signs in as."""
    group = _group(tenant, row)
    cluster = Cluster(
        subscription_id=group.subscription_id,
        group=group.name,
        name=row["name"],
        tags=dict(row.get("tags", {})),
        pools=[_pool(tenant, one, row.get("subnet", "")) for one in row.get("pools", ["system"])],
        identity=scope(tenant, row["identity"]) if "identity" in row else "",
        kubelet_identity=scope(tenant, row["kubelet"]) if "kubelet" in row else "",
        private="private_dns_zone" in row or row.get("private", False),
        private_dns_zone=_zone(tenant, row.get("private_dns_zone", "")),
        own_node_group=row.get("node_group", ""),
        **{
            name: row[name]
            for name in (
                "outbound_type",
                "network_plugin",
                "oidc_issuer",
                "workload_identity",
                "pod_identity",
                "state",
                "power",
            )
            if name in row
        },
    )
    if "runs_on" in row:
        cluster.client_id = tenant.application(row["runs_on"]).app_id
    tenant.clusters.append(cluster)
    at = moment(row.get("created", tenant.starts))
    equip(tenant, cluster, at)
    for name in row.get("addons", []):
        tenant_identity = UserAssignedIdentity(
            subscription_id=cluster.subscription_id,
            group=cluster.node_group,
            name=f"{name.lower()}-{cluster.name}",
            client_id=derived(tenant.id, "add-on client", cluster.name, name),
            principal_id=derived(tenant.id, "add-on", cluster.name, name),
        )
        add_identity(tenant, tenant_identity, at)
        cluster.addons[name] = AddOn(
            resource_id=tenant_identity.id,
            client_id=tenant_identity.client_id,
            object_id=tenant_identity.principal_id,
        )


def add_access(tenant: Tenant, table: Table) -> None:
    """Add groups, management groups, custom roles, what identities trust, and the first role assignments."""
    for row in table.get("management_group", []):
        inside = [tenant.subscription(name).id for name in row.get("subscriptions", [])]
        tenant.access.management_groups.append(
            ManagementGroup(name=row["name"], subscriptions=inside, parent=row.get("parent", ""))
        )
    groups = [
        Group(id=derived(tenant.id, "group", row["name"]), name=row["name"]) for row in table.get("entra_group", [])
    ]
    tenant.access.groups += groups
    for group, row in zip(groups, table.get("entra_group", []), strict=True):
        group.members = [principal(tenant, member) for member in row.get("members", [])]
    for row in table.get("role", []):
        tenant.access.custom_roles.append(
            RoleDefinition(
                name=row["name"],
                id=derived(tenant.id, "role", row["name"]),
                custom=True,
                assignable_scopes=tuple(scope(tenant, one) for one in row["assignable"]),
                **{
                    kind: tuple(row.get(kind, ()))
                    for kind in ("actions", "not_actions", "data_actions", "not_data_actions")
                },
            )
        )
    for row in table.get("identity", []):
        identity = identity_of(tenant, scope(tenant, row["name"]))
        identity.credentials = [_credential(tenant, one) for one in row.get("trusts", [])]
    for row in table.get("application", []):
        application = tenant.application(row.get("key", row.get("name", "")))
        application.credentials = [_credential(tenant, one) for one in row.get("trusts", [])]
    for row in table.get("system_topic", []):
        group = _group(tenant, row)
        sites = [f"{group.id}/providers/Microsoft.Web/sites/{one}" for one in row.get("functions", [])]
        reports = [EventSubscription(name="roles", function_id=f"{one}/functions/on_role_change") for one in sites]
        tenant.topics.append(
            SystemTopic(
                subscription_id=group.subscription_id, group=group.name, name=row["name"], subscriptions=reports
            )
        )
    for row in table.get("assignment", []):
        holder, place = principal(tenant, row["to"]), scope(tenant, row["on"])
        role = tenant.access.role(row["role"]).id
        tenant.access.put(
            RoleAssignment(
                name=derived(tenant.id, "assignment", holder, role, place),
                scope=place,
                role=role,
                principal_id=holder,
                principal_type=tenant.principal_type(holder),
                condition=row.get("condition"),
                condition_version="2.0" if "condition" in row else None,
                created=moment(row.get("created", tenant.starts)),
            )
        )


def _credential(tenant: Tenant, row: Table) -> FederatedCredential:
    if "gone" in row:
        mark = derived(tenant.id, "deleted cluster", row["gone"])
        issuer = f"https://westeurope.oic.prod-aks.azure.com/{tenant.id}/{mark}/"
    else:
        issuer = tenant.cluster(row["cluster"]).issuer(tenant.id) if "cluster" in row else row["issuer"]
    subject = None if "expression" in row else row["subject"]
    made = FederatedCredential(name=row["name"], issuer=issuer, subject=subject, expression=row.get("expression", ""))
    if not row.get("slash", True):
        made.issuer = issuer.rstrip("/")
    made.audiences = row.get("audiences", made.audiences)
    return made


def _pool(tenant: Tenant, row: str | Table, subnet: str) -> Pool:
    row = {"name": row} if isinstance(row, str) else row
    subnet = row.get("subnet", subnet)
    return Pool(
        name=row["name"],
        subnet=scope(tenant, subnet) if subnet else "",
        type=row.get("type", "VirtualMachineScaleSets"),
    )


def _zone(tenant: Tenant, name: str) -> str:
    return name if name in ("", "system", "none") else scope(tenant, name)


def _group(tenant: Tenant, row: Table) -> ResourceGroup:
    return next(group for group in tenant.groups if group.name == row["group"])


def _add_resource(tenant: Tenant, row: Table, kind: str, name: str, **properties: Any) -> None:
    group = _group(tenant, row)
    tenant.resources.append(
        Resource(subscription_id=group.subscription_id, group=group.name, type=kind, name=name, properties=properties)
    )


def _snake(kind: str) -> str:
    """`routeTables` as a tenant file names such a table: `route_table`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind).rstrip("s")
