"""Registries, subnets, and whether a resource still exists.

Registries through azure-mgmt-containerregistry; single resources of other providers by the generic read of
azure-mgmt-resource, since a client for Microsoft.Network alone costs more to import than all the others.
https://learn.microsoft.com/rest/api/resources/resources/get-by-id.
"""

from __future__ import annotations

from typing import Any

import msgspec
from azure.mgmt.containerregistry.aio import ContainerRegistryManagementClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient

from .. import sources
from ..access import Level, Registry, RoleAssignment, Subnet, level, subscription_of
from .aks import segment
from .http import Arm, NotFoundError

REGISTRY_READER = sources.REGISTRIES.permission
SUBNET_READER = sources.SUBNETS.permission

_VERSIONS = {
    "microsoft.containerregistry/registries": "2025-11-01",
    "microsoft.containerservice/managedclusters": "2025-10-01",
    "microsoft.keyvault/vaults": "2024-11-01",
    "microsoft.managedidentity/userassignedidentities": "2024-11-30",
    "microsoft.network/natgateways": "2024-10-01",
    "microsoft.network/privatednszones": "2024-06-01",
    "microsoft.network/routetables": "2024-10-01",
    "microsoft.network/virtualnetworks": "2024-10-01",
    "microsoft.network/virtualnetworks/subnets": "2024-10-01",
    "microsoft.storage/storageaccounts": "2025-06-01",
}
"""An API version for each type of resource that identities of clusters are commonly given rights on."""


class _Link(msgspec.Struct):
    id: str | None = None


class _SubnetProperties(msgspec.Struct, rename="camel"):
    route_table: _Link | None = None
    nat_gateway: _Link | None = None


class _RegistryProperties(msgspec.Struct, rename="camel"):
    login_server: str | None = None
    role_assignment_mode: str | None = None
    anonymous_pull_enabled: bool | None = None


class _Registry(msgspec.Struct):
    id: str
    name: str | None = None
    properties: _RegistryProperties | None = None


def registry(item: Any) -> Registry:
    """A registry of the SDK as a record; raises msgspec.ValidationError."""
    wire = msgspec.convert(item.as_dict(), _Registry)
    properties = wire.properties or _RegistryProperties()
    return Registry(
        id=wire.id,
        name=wire.name or "",
        login_server=properties.login_server or "",
        abac=(properties.role_assignment_mode or "").lower() == "abacrepositorypermissions",
        anonymous=bool(properties.anonymous_pull_enabled),
    )


def subnet(subnet_id: str, properties: Any) -> Subnet:
    """The `properties` of a subnet as a record; raises msgspec.ValidationError."""
    wire = msgspec.convert(properties or {}, _SubnetProperties)
    return Subnet(
        id=subnet_id,
        route_table_id=(wire.route_table.id or "") if wire.route_table else "",
        nat_gateway_id=(wire.nat_gateway.id or "") if wire.nat_gateway else "",
    )


def resource_type(resource_id: str) -> str:
    """The lower-case type of a resource, as `microsoft.network/virtualnetworks/subnets`; empty for a group."""
    _, marker, rest = resource_id.lower().rpartition("/providers/")
    provider, *names = rest.strip("/").split("/")
    return "/".join((provider, *names[::2])) if marker else ""


class Resources:
    """Reads single resources; every method raises ReadError."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    async def list_registries(self, subscription_id: str) -> list[Registry]:
        """Every container registry of a subscription."""
        client = self._arm.client(ContainerRegistryManagementClient, subscription_id)
        async with client, self._arm.reading(Registry, f"/subscriptions/{subscription_id}", REGISTRY_READER):
            return [registry(item) async for item in client.registries.list(listing=True)]

    async def get_subnet(self, subnet_id: str) -> Subnet:
        """One subnet by its id; raises NotFoundError when ARM says that there is none."""
        client = self._arm.client(ResourceManagementClient, segment(subnet_id, "subscriptions"))
        version = _VERSIONS["microsoft.network/virtualnetworks/subnets"]
        async with client, self._arm.reading(Subnet, subnet_id, SUBNET_READER):
            found = await client.resources.get_by_id(subnet_id.lstrip("/"), api_version=version)
            return subnet(subnet_id, found.as_dict().get("properties"))

    async def is_gone(self, scope: str) -> bool:
        """Whether ARM says 404 for a scope; False for a type whose API version is not known here."""
        what = level(scope)
        version = _VERSIONS.get(resource_type(scope), "")
        if what not in (Level.RESOURCE_GROUP, Level.RESOURCE) or (what is Level.RESOURCE and not version):
            return False
        client = self._arm.client(ResourceManagementClient, subscription_of(scope))
        try:
            async with client, self._arm.reading(RoleAssignment, scope, "Reader"):
                if what is Level.RESOURCE_GROUP:
                    await client.resource_groups.get(segment(scope, "resourcegroups"))
                else:
                    await client.resources.get_by_id(scope.lstrip("/"), api_version=version)
        except NotFoundError:
            return True
        return False
