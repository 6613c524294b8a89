"""What the identities of a cluster must be allowed to do, where, and what fails without it; no I/O.

Sources: https://learn.microsoft.com/azure/aks/aks-service-permissions and .../managed-identity-overview. Not all rights
of those tables are needs: only what every cluster of that shape uses, so that a healthy cluster with a narrow custom
role raises no alarm.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .access import Registry, Subnet, subscription_of
from .model import ManagedCluster, ServicePrincipal, UserAssignedIdentity, covers
from .permissions import Answer, Grant, Grants, Verdict, may_all
from .rule import Fact, command


class Identity(StrEnum):
    """Which of a cluster's three identities; never to be mixed up on a card."""

    CLUSTER = "cluster"
    KUBELET = "kubelet"
    WORKLOAD = "workload"


class Cause(StrEnum):
    """Why a need of a cluster cannot be told."""

    CHANGING = "the cluster is being made or deleted"
    NO_NODE_GROUP = "the cluster shows no node resource group"
    NO_CLUSTER_IDENTITY = "the cluster shows no identity of its control plane"
    NO_KUBELET_IDENTITY = "the cluster shows no kubelet identity"
    SERVICE_PRINCIPAL_UNKNOWN = "the cluster's service principal is not known in this tenant"
    IDENTITY_UNREAD = "the object id of the identity could not be read"
    SUBNET_UNREAD = "the subnet could not be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltInRole:
    """A role that Azure has in every tenant, by its GUID.

    Source: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles.
    """

    name: str
    role_id: str


CONTRIBUTOR = BuiltInRole(name="Contributor", role_id="b24988ac-6180-42a0-ab88-20f7382dd24c")
NETWORK = BuiltInRole(name="Network Contributor", role_id="4d97b98b-1d4f-4787-a291-c67834d212e7")
OPERATOR = BuiltInRole(name="Managed Identity Operator", role_id="f1a07417-d97a-45cb-824c-7a7467783830")
PRIVATE_DNS = BuiltInRole(name="Private DNS Zone Contributor", role_id="b12aa53e-6015-4669-85d0-8515ebb3ae7f")
ACR_PULL = BuiltInRole(name="AcrPull", role_id="7f951dda-4ed3-4680-a7ca-43fe172d538d")
REPOSITORY_READER = BuiltInRole(
    name="Container Registry Repository Reader", role_id="b93aa761-3e63-49ed-ac28-beffa264f7ac"
)

GRANT = (
    "az role assignment create --assignee-object-id {principal_id} --assignee-principal-type ServicePrincipal "
    "--role {role_id} --scope {scope}"
)
"""The role by GUID: built-in names have been changed before."""
ATTACH = (
    "az aks update --subscription {subscription} --resource-group {resource_group} --name {cluster} "
    "--attach-acr {scope}"
)
"""Only grants AcrPull; it refuses ABAC registries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one identity of a cluster must be allowed to do at a scope."""

    rule: str
    """The rule that tells when it is lost."""
    identity: Identity
    principal_id: str
    scope: str
    actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    fails: str
    """What fails without it, and how it shows."""
    role: BuiltInRole
    """The narrowest built-in role that mends it at this scope."""
    fix: str = GRANT
    """Template of the command that mends it; `facts` fill it."""
    certain: bool = True
    """False: healthy clusters do without it, so that only its loss is worth a word, and no more than a warning."""
    cluster_id: str
    cluster: str
    resource_group: str
    subscription_id: str

    @property
    def key(self) -> str:
        """What tells it apart from the other needs of its rule on its cluster."""
        return self.scope.lower()

    @property
    def facts(self) -> dict[str, Fact]:
        """The facts that commands and cards take from it."""
        return {
            "subscription": self.subscription_id,
            "resource_group": self.resource_group,
            "cluster": self.cluster,
            "identity": self.identity.value,
            "principal_id": self.principal_id,
            "role": self.role.name,
            "role_id": self.role.role_id,
            "scope": self.scope,
            "actions": [*self.actions, *self.data_actions],
        }

    @property
    def command(self) -> str:
        """The command that mends it."""
        return command(self.fix, self.facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A need that cannot be told: neither held nor lost."""

    cluster_id: str
    identity: Identity
    cause: Cause
    about: str = ""
    """The id of what could not be read, if it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """A role assignment that a need rests on, and how the need stands without it."""

    need: Need
    grant: Grant
    without: Verdict

    @property
    def assignment_id(self) -> str:
        """The id of the role assignment."""
        return self.grant.assignment.id


@dataclass(frozen=True, slots=True)
class World:
    """What clusters refer to by id, by lower-case id."""

    subnets: Mapping[str, Subnet] = field(default_factory=dict)
    identities: Mapping[str, UserAssignedIdentity] = field(default_factory=dict)
    service_principals: Mapping[str, ServicePrincipal] = field(default_factory=dict)
    """By app id, since that is what a cluster shows."""


def world(
    *,
    subnets: Iterable[Subnet] = (),
    identities: Iterable[UserAssignedIdentity] = (),
    service_principals: Iterable[ServicePrincipal] = (),
) -> World:
    """The world of these records."""
    return World(
        subnets={subnet.id.lower(): subnet for subnet in subnets},
        identities={identity.id.lower(): identity for identity in identities},
        service_principals={entity.app_id.lower(): entity for entity in service_principals},
    )


def needs(cluster: ManagedCluster, around: World) -> tuple[Need, ...]:
    """What the cluster identity needs; what the kubelet needs depends on registries: see `pulls`."""
    return tuple(item for item in _needs(cluster, around) if isinstance(item, Need))


def unknowns(cluster: ManagedCluster, around: World) -> tuple[Unknown, ...]:
    """The needs of a cluster that cannot be told, each with its cause; those of the kubelet included."""
    found = [item for item in _needs(cluster, around) if isinstance(item, Unknown)]
    kubelet = principal(cluster, Identity.KUBELET, around)
    if isinstance(kubelet, Unknown) and not any(item.cause is Cause.CHANGING for item in found):
        found.append(kubelet)
    return tuple(found)


def principal(cluster: ManagedCluster, identity: Identity, around: World) -> str | Unknown:
    """The object id of a cluster's identity, or why it is not known; on a service principal both are the same."""

    def unknown(cause: Cause, about: str = "") -> Unknown:
        return Unknown(cluster_id=cluster.id, identity=identity, cause=cause, about=about)

    if cluster.client_id:
        entity = around.service_principals.get(cluster.client_id.lower())
        return entity.object_id if entity else unknown(Cause.SERVICE_PRINCIPAL_UNKNOWN, cluster.client_id)
    if identity is Identity.CLUSTER:
        # A cluster has one user-assigned identity at most; with more, nothing tells which one acts.
        given = cluster.identities[0] if len(cluster.identities) == 1 else None
        if not given:
            alone = cluster.principal_id if not cluster.identities else ""
            return alone or unknown(Cause.NO_CLUSTER_IDENTITY)
    else:
        given = cluster.kubelet
        if not given:
            return unknown(Cause.NO_KUBELET_IDENTITY)
    read = around.identities.get(given.id.lower())
    return given.principal_id or (read.principal_id if read else "") or unknown(Cause.IDENTITY_UNREAD, given.id)


def pulls(cluster: ManagedCluster, granted: Grants, registries: Iterable[Registry], around: World) -> tuple[Need, ...]:
    """The kubelet's need to pull from each registry that these grants let it pull from, perhaps under a condition.

    A cluster keeps no trace of its registries, so the grants that were once seen tell which ones it uses.
    """
    holder = principal(cluster, Identity.KUBELET, around)
    if isinstance(holder, Unknown) or _changing(cluster):
        return ()
    # Thousands of clusters times hundreds of registries, of which each may pull from one or two.
    within = {subscription_of(grant.assignment.scope) for grant in granted.of(holder)}
    every = (
        _pull(cluster, holder, registry)
        for registry in registries
        if not registry.anonymous and ("" in within or subscription_of(registry.id) in within)
    )
    return tuple(need for need in every if judge(need, granted).verdict >= Verdict.MAYBE)


def judge(need: Need, granted: Grants, *, without: Collection[str] = ()) -> Answer:
    """Whether a need is held, if the assignments `without` (ids) were gone."""
    return may_all(
        granted, need.principal_id, need.actions, need.scope, data_actions=need.data_actions, without=without
    )


def load_bearing(every: Iterable[Need], granted: Grants) -> tuple[Support, ...]:
    """Each role assignment without which, alone, a need would not be held as surely as now.

    Two assignments that give the same carry each other: neither is listed, until one of them goes.
    """
    found = []
    for need in every:
        now = judge(need, granted)
        if now.verdict < Verdict.MAYBE:
            continue
        for grant in now.grants:
            after = judge(need, granted, without=(grant.assignment.id,)).verdict
            if after < now.verdict:
                found.append(Support(need=need, grant=grant, without=after))
    return tuple(found)


def _changing(cluster: ManagedCluster) -> bool:
    return cluster.provisioning_state.lower() in ("creating", "deleting")


def _needs(cluster: ManagedCluster, around: World) -> Iterator[Need | Unknown]:
    def unknown(cause: Cause, about: str = "") -> Unknown:
        return Unknown(cluster_id=cluster.id, identity=Identity.CLUSTER, cause=cause, about=about)

    if _changing(cluster):
        # Rights are given while a cluster is made, and taken while it is deleted.
        yield unknown(Cause.CHANGING)
        return
    if not cluster.node_group_id:
        yield unknown(Cause.NO_NODE_GROUP)
        return
    holder = principal(cluster, Identity.CLUSTER, around)
    if isinstance(holder, Unknown):
        yield holder
        return
    yield _node_group(cluster, holder)
    yield from _networks(cluster, holder, around)
    if cluster.kubelet and not cluster.client_id and _brought(cluster, cluster.kubelet.id):
        yield _assign(cluster, holder, cluster.kubelet.id)
    zone = cluster.private_dns_zone
    if cluster.private and zone.startswith("/") and _brought(cluster, zone):
        yield _dns_zone(cluster, holder, zone)


def _brought(cluster: ManagedCluster, resource_id: str) -> bool:
    """Whether a resource was brought along; the cluster's rights on its node resource group hold for the others."""
    return bool(resource_id) and not covers(cluster.node_group_id, resource_id)


def _need(
    cluster: ManagedCluster,
    principal_id: str,
    scope: str,
    *,
    rule: str,
    fails: str,
    role: BuiltInRole,
    identity: Identity = Identity.CLUSTER,
    actions: tuple[str, ...] = (),
    data_actions: tuple[str, ...] = (),
    fix: str = GRANT,
    certain: bool = True,
) -> Need:
    return Need(
        rule=rule,
        identity=identity,
        principal_id=principal_id,
        scope=scope,
        actions=actions,
        data_actions=data_actions,
        fails=fails,
        role=role,
        fix=fix,
        certain=certain,
        cluster_id=cluster.id,
        cluster=cluster.name,
        resource_group=cluster.resource_group,
        subscription_id=cluster.subscription_id,
    )


def _node_group(cluster: ManagedCluster, holder: str) -> Need:
    kinds = {pool.type.lower() for pool in cluster.pools}
    actions = ["Microsoft.Compute/disks/write", "Microsoft.Network/loadBalancers/write"]
    if cluster.outbound_type.lower() not in ("userdefinedrouting", "none", "block"):
        # Those let nothing out by an address of their own; the others have at least one.
        actions.append("Microsoft.Network/publicIPAddresses/write")
    if "virtualmachinescalesets" in kinds:
        actions.append("Microsoft.Compute/virtualMachineScaleSets/write")
        actions.append("Microsoft.Compute/virtualMachineScaleSets/virtualMachines/write")
    if kinds & {"virtualmachines", "availabilityset"} or cluster.node_provisioning.lower() == "auto":
        # The NICs of a scale set are written with the scale set; those of single machines on their own.
        actions.append("Microsoft.Compute/virtualMachines/write")
        actions.append("Microsoft.Network/networkInterfaces/write")
    return _need(
        cluster,
        holder,
        cluster.node_group_id,
        rule="aks_cluster_cannot_manage_node_group",
        actions=tuple(actions),
        fails="Services get no address (EXTERNAL-IP <pending>), disks do not attach (PersistentVolumeClaim Pending), "
        "scaling and upgrades fail.",
        role=CONTRIBUTOR,
        # The node resource group of an Automatic cluster is AKS's own affair, and may be given in another way.
        certain=cluster.sku.lower() != "automatic",
    )


def _networks(cluster: ManagedCluster, holder: str, around: World) -> Iterator[Need | Unknown]:
    rule = "aks_cluster_cannot_join_subnet"
    outbound = cluster.outbound_type.lower()
    kubenet = cluster.network_plugin.lower() == "kubenet"
    routed = kubenet or outbound == "userdefinedrouting"
    translated = outbound == "userassignednatgateway"
    subnets: dict[str, str] = {}
    for pool in cluster.pools:
        if _brought(cluster, pool.subnet_id):
            subnets.setdefault(pool.subnet_id.lower(), pool.subnet_id)
    tables: dict[str, str] = {}
    gateways: dict[str, str] = {}
    for key, subnet_id in subnets.items():
        yield _need(
            cluster,
            holder,
            subnet_id,
            rule=rule,
            actions=(
                "Microsoft.Network/virtualNetworks/subnets/join/action",
                "Microsoft.Network/virtualNetworks/subnets/read",
            ),
            fails="New nodes and load balancers cannot join the subnet (LinkedAuthorizationFailed): scaling and "
            "upgrades fail, Services get no address (EXTERNAL-IP <pending>).",
            role=NETWORK,
        )
        subnet = around.subnets.get(key)
        if subnet:
            tables.setdefault(subnet.route_table_id.lower(), subnet.route_table_id)
            gateways.setdefault(subnet.nat_gateway_id.lower(), subnet.nat_gateway_id)
        elif routed or translated:
            yield Unknown(cluster_id=cluster.id, identity=Identity.CLUSTER, cause=Cause.SUBNET_UNREAD, about=subnet_id)
    for table in tables.values():
        if routed and _brought(cluster, table):
            yield _route_table(cluster, holder, table, rule, kubenet)
    for gateway in gateways.values():
        if translated and _brought(cluster, gateway):
            yield _linked(cluster, holder, gateway, rule, "Microsoft.Network/natGateways/join/action")


def _route_table(cluster: ManagedCluster, holder: str, table: str, rule: str, kubenet: bool) -> Need:
    if not kubenet:
        return _linked(cluster, holder, table, rule, "Microsoft.Network/routeTables/join/action")
    return _need(
        cluster,
        holder,
        table,
        rule=rule,
        actions=("Microsoft.Network/routeTables/routes/read", "Microsoft.Network/routeTables/routes/write"),
        fails="New nodes get no route (NetworkUnavailable): scaling and upgrades fail, pods on them cannot be reached.",
        role=NETWORK,
    )


def _linked(cluster: ManagedCluster, holder: str, scope: str, rule: str, action: str) -> Need:
    # Whoever writes a subnet must be allowed to join all that hangs on it; a cluster seldom writes its subnet, and most
    # never do: https://github.com/microsoft/tyger/pull/320
    return _need(
        cluster,
        holder,
        scope,
        rule=rule,
        actions=(action,),
        fails="When the cluster has to change its subnet, as for a private link service, it is refused "
        "(LinkedAuthorizationFailed), and the Service gets no address (EXTERNAL-IP <pending>).",
        role=NETWORK,
        certain=False,
    )


def _assign(cluster: ManagedCluster, holder: str, kubelet_id: str) -> Need:
    return _need(
        cluster,
        holder,
        kubelet_id,
        rule="aks_cluster_cannot_assign_kubelet",
        actions=("Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",),
        fails="New nodes cannot be given the kubelet identity (LinkedAuthorizationFailed): scaling, upgrades and new "
        "node pools fail.",
        role=OPERATOR,
    )


def _dns_zone(cluster: ManagedCluster, holder: str, zone: str) -> Need:
    return _need(
        cluster,
        holder,
        zone,
        rule="aks_cluster_cannot_edit_dns_zone",
        actions=("Microsoft.Network/privateDnsZones/A/write",),
        fails="The API server's record is not written when its address changes, as after a stop and start: nodes and "
        "people cannot find the API server. Updates of the cluster fail.",
        role=PRIVATE_DNS,
    )


def _pull(cluster: ManagedCluster, holder: str, registry: Registry) -> Need:
    where = registry.login_server or registry.name or registry.id
    return _need(
        cluster,
        holder,
        registry.id,
        rule="aks_kubelet_cannot_pull",
        identity=Identity.KUBELET,
        actions=() if registry.abac else ("Microsoft.ContainerRegistry/registries/pull/read",),
        data_actions=("Microsoft.ContainerRegistry/registries/repositories/content/read",) if registry.abac else (),
        fails=f"New pods cannot pull from {where}: ImagePullBackOff, 401 Unauthorized. Running pods go on until they "
        "move.",
        role=REPOSITORY_READER if registry.abac else ACR_PULL,
        fix=GRANT if registry.abac else ATTACH,
    )
