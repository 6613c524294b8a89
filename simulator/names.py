"""What the names in a tenant file stand for: principals and scopes."""

from __future__ import annotations

from typing import Protocol

from .access import ROOT
from .credentials import Table
from .entities import ServicePrincipal
from .tenant import Tenant


class Named(Protocol):
    """What has a name and an id."""

    @property
    def id(self) -> str:
        """The resource id."""

    name: str


def principal(tenant: Tenant, who: str | Table) -> str:
    """The object id of whom a role is given to.

    A cluster's identity is written { cluster = NAME, identity = "cluster" or "kubelet" }; anybody else by name: an app
    registration, an enterprise application, a user-assigned identity, a group or a user.
    """
    if not isinstance(who, str):
        cluster = tenant.cluster(who["cluster"])
        if not cluster.managed:
            return tenant.service_principal(cluster.client_id).id
        return {"cluster": cluster.principal_id, "kubelet": cluster.kubelet_object_id}[who.get("identity", "cluster")]
    for identity in tenant.identities:
        if identity.name == who:
            return identity.principal_id
    for group in tenant.access.groups:
        if group.name == who:
            return group.id
    for user in tenant.users:
        if user.name == who:
            return user.id
    for gone in tenant.deleted:
        # Role assignments outlive their principal, so that it can still be named.
        if isinstance(gone.entity, ServicePrincipal) and gone.entity.name == who:
            return gone.entity.id
    if f"application {who}" in tenant.keys:
        return tenant.service_principal(tenant.application(who).app_id).id
    return tenant.service_principal(who).id


def scope(tenant: Tenant, name: str) -> str:
    """The id of a scope by its name; "/" is the root, and what begins with it is an id already."""
    if name.startswith(ROOT):
        return name
    found = [one.id for one in tenant.access.management_groups if one.name == name]
    found += [f"/subscriptions/{one.id}" for one in tenant.subscriptions if one.name == name]
    things: tuple[Named, ...] = (
        *tenant.groups,
        *tenant.registries,
        *tenant.identities,
        *tenant.resources,
        *tenant.clusters,
    )
    found += [one.id for one in things if one.name == name]
    if len(found) != 1:
        raise KeyError(f"{len(found)} scopes are named {name}")
    return found[0]
