"""Registries, subnets, and whether a resource still exists.

Registries through azure-mgmt-containerregistry; single resources of other providers by the generic read of
azure-mgmt-resource, since a client for Microsoft.Network alone costs more to import than all the others.
https://learn.microsoft.com/rest/api/resources/resources/get-by-id.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from azure.mgmt.containerregistry.aio import ContainerRegistryManagementClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient

from .. import sources
from ..access import Level, Registry, RoleAssignment, Subnet, level, subscription_of
from ..model import Unread
from .aks import segment
from .http import Arm, NotFoundError, ReadError

REGISTRY_READER = sources.REGISTRIES.permission
SUBNET_READER = sources.SUBNETS.permission
READER = "Reader"

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
"""An API version for each type of resource that identities of clusters are commonly given rights on.

The narrow role may read each of them (infra/access/actions.json); those of other types Resource Manager is asked for.
"""

_STABLE = re.compile(r"\d{4}-\d\d-\d\d\Z")

_NO_SUCH_TYPE = ("InvalidResourceType", "InvalidResourceNamespace")
"""What Resource Manager calls a 404 that says nothing of the resource."""


class _Link(msgspec.Struct):
    id: str | None = None


class _SubnetProperties(msgspec.Struct, rename="camel"):
    route_table: _Link | None = None
    nat_gateway: _Link | None = None


class _RegistryProperties(msgspec.Struct, rename="camel"):
    login_server: str | None = None
    role_assignment_mode: str | None = None
    anonymous_pull_enabled: bool | None = None


class _Type(msgspec.Struct, rename="camel"):
    resource_type: str
    api_versions: list[str] | None = None


class _Provider(msgspec.Struct, rename="camel"):
    resource_types: list[_Type] | None = None


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


def versions(item: Any) -> dict[str, str]:
    """The API version to ask with of each lower-case type, `namespaces/queues`, of a provider of the SDK.

    The newest stable one, as `az resource show` takes it. Raises msgspec.ValidationError.
    """
    wire = msgspec.convert(item.as_dict(), _Provider)
    return {
        one.resource_type.lower(): newest(one.api_versions) for one in wire.resource_types or () if one.api_versions
    }


def newest(api_versions: Sequence[str]) -> str:
    """The newest API version that is no preview; the newest of all where each is one."""
    return max([one for one in api_versions if _STABLE.match(one)] or api_versions)


def holder(scope: str) -> str:
    """What a resource is in: the resource above a child, else its group, or the subscription."""
    segments = scope.strip("/").split("/")[:-2]
    if segments[-2:-1] and segments[-2].lower() == "providers":
        segments = segments[:-2]
    return "/" + "/".join(segments)


class Resources:
    """Reads single resources; every method raises ReadError."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self._providers: dict[str, Mapping[str, str] | Unread] = {}
        """The API versions of each provider's types by its lower-case namespace, or why they could not be read."""
        self._reading = asyncio.Lock()

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
        """Whether ARM says 404 for a resource or a resource group, or for what it is in; False for any other scope."""
        what = level(scope)
        if what not in (Level.RESOURCE_GROUP, Level.RESOURCE):
            return False
        try:
            await self._get(scope, what)
        except NotFoundError as error:
            if error.unread.reason.endswith(_NO_SUCH_TYPE):
                raise ReadError(error.unread) from error
            return True
        except ReadError:
            # Who may not read a resource may read its group, and nothing outlives that.
            if what is Level.RESOURCE and await self._went(holder(scope)):
                return True
            raise
        return False

    async def _went(self, scope: str) -> bool:
        """Whether a scope is known to be gone."""
        try:
            return await self.is_gone(scope)
        except ReadError:
            return False

    async def _get(self, scope: str, what: Level) -> None:
        """Read a scope, whatever it holds; raises NotFoundError where there is nothing."""
        version = await self._version(scope) if what is Level.RESOURCE else ""
        client = self._arm.client(ResourceManagementClient, subscription_of(scope))
        async with client, self._arm.reading(RoleAssignment, scope, READER):
            if what is Level.RESOURCE_GROUP:
                await client.resource_groups.get(segment(scope, "resourcegroups"))
            else:
                await client.resources.get_by_id(scope.lstrip("/"), api_version=version)

    async def _version(self, scope: str) -> str:
        """The API version that a resource is asked for with; raises ReadError where none is known."""
        kind = resource_type(scope)
        if kind in _VERSIONS:
            return _VERSIONS[kind]
        namespace, _, name = kind.partition("/")
        known: Mapping[str, str] | Unread = {}
        if name:
            async with self._reading:
                if namespace not in self._providers:
                    self._providers[namespace] = await self._provider(subscription_of(scope), namespace)
                known = self._providers[namespace]
        if isinstance(known, Unread):
            raise ReadError(known)
        if name not in known:
            raise ReadError(Unread(kind=RoleAssignment, scope=scope, reason="Azure names no API version for its type"))
        return known[name]

    async def _provider(self, subscription_id: str, namespace: str) -> Mapping[str, str] | Unread:
        """The API versions of a provider's types, or why they could not be read: a 404 is about the provider."""
        scope = f"/subscriptions/{subscription_id}/providers/{namespace}"
        client = self._arm.client(ResourceManagementClient, subscription_id)
        try:
            async with client, self._arm.reading(RoleAssignment, scope, READER):
                return versions(await client.providers.get(namespace))
        except ReadError as error:
            return error.unread
