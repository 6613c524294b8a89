"""Azure Resource Manager: subscriptions, resource group tags, AKS clusters.

https://learn.microsoft.com/rest/api/aks/managed-clusters/list and
https://learn.microsoft.com/rest/api/resources/subscriptions/list.
"""

from __future__ import annotations

from collections.abc import Mapping
from sys import intern
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from azure.mgmt.containerservice.aio import ContainerServiceClient
from azure.mgmt.resource.resources.aio import ResourceManagementClient
from azure.mgmt.resource.subscriptions.aio import SubscriptionClient

from .. import sources
from ..model import TENANT, ManagedCluster, NodePool, Owner, Subscription, Unread, UserAssignedIdentity
from .http import Arm, NotFoundError, ReadError

READER = sources.CLUSTERS.permission


_Shape = TypeVar("_Shape")


class _Pool(msgspec.Struct, rename="camel"):
    name: str | None = None
    type: str | None = None
    subnet_id: str | None = msgspec.field(default=None, name="vnetSubnetID")
    image: str | None = msgspec.field(default=None, name="nodeImageVersion")


class _ServicePrincipalProfile(msgspec.Struct, rename="camel"):
    client_id: str | None = None


class _PowerState(msgspec.Struct):
    code: str | None = None


class _Given(msgspec.Struct, rename="camel"):
    """An identity as `identityProfile`, `addonProfiles` or `userAssignedIdentities` show it."""

    resource_id: str | None = None
    client_id: str | None = None
    object_id: str | None = None
    principal_id: str | None = None


class _Addon(msgspec.Struct):
    enabled: bool | None = None
    identity: _Given | None = None


class _Identity(msgspec.Struct, rename="camel"):
    type: str | None = None
    principal_id: str | None = None
    tenant_id: str | None = None
    user_assigned_identities: dict[str, _Given | None] | None = None


class _Network(msgspec.Struct, rename="camel"):
    network_plugin: str | None = None
    outbound_type: str | None = None


class _ApiServer(msgspec.Struct, rename="camel"):
    enable_private_cluster: bool | None = None
    private_zone: str | None = msgspec.field(default=None, name="privateDNSZone")


class _Oidc(msgspec.Struct, rename="camel"):
    enabled: bool | None = None
    issuer: str | None = msgspec.field(default=None, name="issuerURL")


class _Switch(msgspec.Struct):
    enabled: bool | None = None


class _Security(msgspec.Struct, rename="camel"):
    workload_identity: _Switch | None = None


class _Provisioning(msgspec.Struct):
    mode: str | None = None


class _Sku(msgspec.Struct):
    name: str | None = None


class _Properties(msgspec.Struct, rename="camel"):
    service_principal_profile: _ServicePrincipalProfile | None = None
    agent_pool_profiles: list[_Pool] | None = None
    provisioning_state: str | None = None
    power_state: _PowerState | None = None
    identity_profile: dict[str, _Given | None] | None = None
    addon_profiles: dict[str, _Addon | None] | None = None
    node_resource_group: str | None = None
    network_profile: _Network | None = None
    api_server_access_profile: _ApiServer | None = None
    oidc_issuer_profile: _Oidc | None = None
    security_profile: _Security | None = None
    pod_identity_profile: _Switch | None = None
    node_provisioning_profile: _Provisioning | None = None


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
    identity: _Identity | None = None
    sku: _Sku | None = None
    properties: _Properties | None = None


def cluster(item: Mapping[str, Any]) -> ManagedCluster:
    """A managed cluster of ARM, as it stands on the wire, as a record; raises msgspec.ValidationError."""
    wire = msgspec.convert(dict(item), _Cluster)
    properties = wire.properties or _Properties()
    profile = properties.service_principal_profile
    client_id = (profile.client_id or "") if profile else ""
    identity = wire.identity or _Identity()
    network = properties.network_profile or _Network()
    server = properties.api_server_access_profile or _ApiServer()
    issuer = properties.oidc_issuer_profile or _Oidc()
    pools = [pool for pool in properties.agent_pool_profiles or () if pool.name]
    kubelet = (properties.identity_profile or {}).get("kubeletidentity")
    return ManagedCluster(
        id=wire.id,
        name=wire.name,
        resource_group=word(segment(wire.id, "resourcegroups")),
        subscription_id=word(segment(wire.id, "subscriptions").lower()),
        location=word(wire.location),
        # A managed identity shows as "msi", in any case, or as no profile at all.
        client_id="" if client_id.lower() == "msi" else client_id,
        node_pools=tuple(word(pool.name) for pool in pools),
        provisioning_state=word(properties.provisioning_state),
        power_state=word(properties.power_state.code) if properties.power_state else "",
        tags=tags(wire.tags),
        identity_type=word(identity.type),
        principal_id=word(identity.principal_id),
        tenant_id=word(identity.tenant_id),
        identities=tuple(
            _given(given, resource_id) for resource_id, given in (identity.user_assigned_identities or {}).items()
        ),
        kubelet=_given(kubelet) if kubelet else None,
        addons={
            name: _given(addon.identity)
            for name, addon in (properties.addon_profiles or {}).items()
            if addon and addon.enabled and addon.identity
        },
        node_resource_group=word(properties.node_resource_group),
        pools=tuple(
            NodePool(name=word(pool.name), type=word(pool.type), subnet_id=word(pool.subnet_id), image=word(pool.image))
            for pool in pools
        ),
        network_plugin=word(network.network_plugin),
        outbound_type=word(network.outbound_type),
        private=bool(server.enable_private_cluster),
        private_dns_zone=word(server.private_zone),
        oidc_issuer=(issuer.issuer or "") if issuer.enabled else "",
        idle_issuer="" if issuer.enabled else issuer.issuer or "",
        workload_identity=_on((properties.security_profile or _Security()).workload_identity),
        pod_identity=_on(properties.pod_identity_profile),
        sku=word(wire.sku.name) if wire.sku else "",
        node_provisioning=word((properties.node_provisioning_profile or _Provisioning()).mode),
    )


def _given(given: _Given | None, resource_id: str = "") -> UserAssignedIdentity:
    given = given or _Given()
    return UserAssignedIdentity(
        id=word(resource_id or given.resource_id),
        client_id=word(given.client_id),
        principal_id=word(given.object_id or given.principal_id),
    )


def _on(switch: _Switch | None) -> bool:
    return bool(switch and switch.enabled)


def tags(found: Mapping[str, Any] | None) -> dict[str, str]:
    """ARM tags without those that have no value."""
    return {word(name): word(value) for name, value in (found or {}).items() if isinstance(value, str)}


def word(value: str | None) -> str:
    """A text of ARM, empty for none; one object however often it is told, since clusters and rights repeat it."""
    return intern(value or "")


def segment(resource_id: str, name: str) -> str:
    """The segment after a name in an ARM id, whatever its case; empty if there is none."""
    parts = resource_id.split("/")
    places = [index for index, part in enumerate(parts[:-1]) if part.lower() == name]
    return parts[places[0] + 1] if places else ""


class Aks:
    """Reads subscriptions and their clusters; every method raises ReadError."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self._subscriptions = arm.client(SubscriptionClient)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._subscriptions.close()

    async def list_subscriptions(self) -> list[Subscription]:
        """Every subscription that the identity may read; a disabled one can be enabled again, so it counts."""
        async with self._arm.reading(Subscription, TENANT, sources.SUBSCRIPTIONS.permission):
            found = [_wire(item, _Subscription) async for item in self._subscriptions.subscriptions.list(listing=True)]
            return [_subscription(one) for one in found if not _deleted(one)]

    async def get_subscription(self, subscription_id: str) -> Subscription:
        """One subscription by id; raises NotFoundError when ARM says that there is none."""
        async with self._arm.reading(
            Subscription, f"/subscriptions/{subscription_id}", sources.SUBSCRIPTIONS.permission
        ):
            found = _wire(await self._subscriptions.subscriptions.get(subscription_id), _Subscription)
        if _deleted(found):
            scope = f"/subscriptions/{subscription_id}"
            raise NotFoundError(Unread(kind=Subscription, scope=scope, reason="ARM says that it is deleted"))
        return _subscription(found)

    async def list_tenants(self) -> list[str]:
        """The ids of the tenants that the identity belongs to."""
        async with self._arm.reading(Subscription, TENANT, ""):
            return [item.tenant_id async for item in self._subscriptions.tenants.list(listing=True) if item.tenant_id]

    async def list_clusters(self, subscription_id: str) -> tuple[list[ManagedCluster], list[Unread]]:
        """The clusters of a subscription, as far as they could be read, and what could not."""
        scope = f"/subscriptions/{subscription_id}"
        clusters: list[ManagedCluster] = []
        unread: list[Unread] = []
        broken: list[str] = []
        client = self._arm.client(ContainerServiceClient, subscription_id)
        try:
            async with client, self._arm.reading(ManagedCluster, scope, READER):
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

    async def get_cluster(self, cluster_id: str) -> ManagedCluster:
        """One cluster by its id; raises NotFoundError when ARM says that there is none."""
        subscription_id, group, name = (
            segment(cluster_id, part) for part in ("subscriptions", "resourcegroups", "managedclusters")
        )
        client = self._arm.client(ContainerServiceClient, subscription_id)
        async with client, self._arm.reading(ManagedCluster, cluster_id, READER):
            return cluster((await client.managed_clusters.get(group, name)).as_dict())

    async def list_resource_group_tags(self, subscription_id: str) -> dict[str, dict[str, str]]:
        """The tags of every resource group of a subscription, by lower-case name."""
        scope = f"/subscriptions/{subscription_id}"
        client = self._arm.client(ResourceManagementClient, subscription_id)
        async with client, self._arm.reading(Owner, scope, sources.TAGS.permission):
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
