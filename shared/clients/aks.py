"""Azure Resource Manager: subscriptions, resource group tags, AKS clusters.

https://learn.microsoft.com/rest/api/aks/managed-clusters/list and
https://learn.microsoft.com/rest/api/resources/subscriptions/list.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AioHttpTransport
from azure.mgmt.containerservice.aio import ContainerServiceClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from azure.mgmt.resource.subscriptions.aio import SubscriptionClient

from ..model import TENANT, ManagedCluster, Owner, Subscription, Unread
from .http import NotFoundError, Patience, ReadError, arm_policies, reading

READER = "Reader (Microsoft.ContainerService/managedClusters/read)"


_Shape = TypeVar("_Shape")


class _Pool(msgspec.Struct):
    name: str | None = None


class _ServicePrincipalProfile(msgspec.Struct, rename="camel"):
    client_id: str | None = None


class _PowerState(msgspec.Struct):
    code: str | None = None


class _Properties(msgspec.Struct, rename="camel"):
    service_principal_profile: _ServicePrincipalProfile | None = None
    agent_pool_profiles: list[_Pool] | None = None
    provisioning_state: str | None = None
    power_state: _PowerState | None = None


class _Subscription(msgspec.Struct, rename="camel"):
    subscription_id: str
    display_name: str | None = None
    tenant_id: str | None = None
    state: str | None = None
    tags: dict[str, str | None] | None = None


class _Group(msgspec.Struct):
    name: str
    tags: dict[str, str | None] | None = None


class _Cluster(msgspec.Struct):
    id: str
    name: str
    location: str | None = None
    tags: dict[str, str | None] | None = None
    properties: _Properties | None = None


def cluster(item: Mapping[str, Any]) -> ManagedCluster:
    """A managed cluster of ARM, as it stands on the wire, as a record; raises msgspec.ValidationError."""
    wire = msgspec.convert(dict(item), _Cluster)
    properties = wire.properties or _Properties()
    profile = properties.service_principal_profile
    client_id = (profile.client_id or "") if profile else ""
    return ManagedCluster(
        id=wire.id,
        name=wire.name,
        resource_group=_segment(wire.id, "resourcegroups"),
        subscription_id=_segment(wire.id, "subscriptions"),
        location=wire.location or "",
        # A managed identity shows as "msi", in any case, or as no profile at all.
        client_id="" if client_id.lower() == "msi" else client_id,
        node_pools=tuple(pool.name for pool in properties.agent_pool_profiles or () if pool.name),
        provisioning_state=properties.provisioning_state or "",
        power_state=(properties.power_state.code or "") if properties.power_state else "",
        tags=tags(wire.tags),
    )


def tags(found: Mapping[str, Any] | None) -> dict[str, str]:
    """ARM tags without those that have no value."""
    return {name: value for name, value in (found or {}).items() if isinstance(value, str)}


def _segment(resource_id: str, name: str) -> str:
    """The segment after a name in an ARM id, whatever its case; empty if there is none."""
    parts = resource_id.split("/")
    places = [index for index, part in enumerate(parts[:-1]) if part.lower() == name]
    return parts[places[0] + 1] if places else ""


class Aks:
    """Reads subscriptions and their clusters; every method raises ReadError."""

    def __init__(
        self,
        credential: AsyncTokenCredential,
        endpoint: str,
        transport: AioHttpTransport,
        patience: Patience = Patience(),
    ) -> None:
        self._credential = credential
        self._endpoint = endpoint
        self._patience = patience
        self._options: dict[str, Any] = {
            "base_url": endpoint,
            "transport": transport,
            "credential_scopes": [f"{endpoint}/.default"],
        }
        self._subscriptions = SubscriptionClient(credential, policies=self._policies(), **self._options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._subscriptions.close()

    def _policies(self) -> Any:
        return arm_policies(self._credential, self._endpoint, self._patience)

    async def list_subscriptions(self) -> list[Subscription]:
        """Every subscription that the identity may read; a disabled one can be enabled again, so it counts."""
        async with reading(Subscription, TENANT, "Reader", self._patience):
            found = [_wire(item, _Subscription) async for item in self._subscriptions.subscriptions.list(listing=True)]
            return [_subscription(one) for one in found if not _deleted(one)]

    async def get_subscription(self, subscription_id: str) -> Subscription:
        """One subscription by id; raises NotFoundError when ARM says that there is none."""
        async with reading(Subscription, f"/subscriptions/{subscription_id}", "Reader", self._patience):
            found = _wire(await self._subscriptions.subscriptions.get(subscription_id), _Subscription)
        if _deleted(found):
            scope = f"/subscriptions/{subscription_id}"
            raise NotFoundError(Unread(kind=Subscription, scope=scope, reason="ARM says that it is deleted"))
        return _subscription(found)

    async def list_tenants(self) -> list[str]:
        """The ids of the tenants that the identity belongs to."""
        async with reading(Subscription, TENANT, "", self._patience):
            return [item.tenant_id async for item in self._subscriptions.tenants.list(listing=True) if item.tenant_id]

    async def list_clusters(self, subscription_id: str) -> tuple[list[ManagedCluster], list[Unread]]:
        """The clusters of a subscription, as far as they could be read, and what could not."""
        scope = f"/subscriptions/{subscription_id}"
        clusters: list[ManagedCluster] = []
        unread: list[Unread] = []
        broken: list[str] = []
        client = ContainerServiceClient(self._credential, subscription_id, policies=self._policies(), **self._options)
        try:
            async with client, reading(ManagedCluster, scope, READER, self._patience):
                async for item in client.managed_clusters.list(listing=True):
                    try:
                        clusters.append(cluster(item.as_dict()))
                    except (TypeError, ValueError, AttributeError):
                        broken.append(str(getattr(item, "name", ""))[:60])
        except ReadError as error:
            # A subscription that never used AKS has no cluster, and that is an answer.
            if not error.unread.reason.endswith("MissingSubscriptionRegistration"):
                unread.append(error.unread)
        if broken:
            many = f"{len(broken):,} clusters of an unexpected shape, the first: {broken[0]}"
            reason = many if len(broken) > 1 else f"a cluster of an unexpected shape: {broken[0]}"
            unread.append(Unread(kind=ManagedCluster, scope=scope, reason=reason))
        return clusters, unread

    async def list_resource_group_tags(self, subscription_id: str) -> dict[str, dict[str, str]]:
        """The tags of every resource group of a subscription, by lower-case name."""
        scope = f"/subscriptions/{subscription_id}"
        async with (
            ResourceManagementClient(
                self._credential, subscription_id, policies=self._policies(), **self._options
            ) as client,
            reading(Owner, scope, "Reader (Microsoft.Resources/subscriptions/resourceGroups/read)", self._patience),
        ):
            found = [_wire(item, _Group) async for item in client.resource_groups.list(listing=True)]
            return {one.name.lower(): tags(one.tags) for one in found}


def _wire(item: Any, shape: type[_Shape]) -> _Shape:
    """An object of the SDK as it stands on the wire; raises ValueError, TypeError or AttributeError for another one."""
    return msgspec.convert(item.as_dict(), shape)


def _deleted(wire: _Subscription) -> bool:
    return (wire.state or "").lower() == "deleted"


def _subscription(wire: _Subscription) -> Subscription:
    return Subscription(
        subscription_id=wire.subscription_id.lower(),
        name=wire.display_name or "",
        tenant_id=(wire.tenant_id or "").lower(),
        tags=tags(wire.tags),
    )
