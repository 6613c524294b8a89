"""One cluster with all that it can need, and the rights of its identities: a pure world for the rules of drift."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from shared import baseline, drift
from shared.access import (
    Access,
    BaselineGrant,
    Caller,
    Membership,
    Permission,
    Registry,
    RoleAssignment,
    RoleDefinition,
    Subnet,
    UserAssignedIdentity,
    subscription_of,
)
from shared.findings import Finding, evaluate, reconcile
from shared.model import ManagedCluster, NodePool, Snapshot, Unread
from shared.rules import DRIFT

from .builders import NOW, SUBSCRIPTION, TENANT_ID, after, subscription

OTHER = "22222222-2222-4222-8222-222222222222"
S = f"/subscriptions/{SUBSCRIPTION}"
MG = "/providers/Microsoft.Management/managementGroups/platform"
NODES = f"{S}/resourceGroups/MC_shop_prod-weu_westeurope"
NETWORK = f"{S}/resourceGroups/network"
SUBNET = f"{NETWORK}/providers/Microsoft.Network/virtualNetworks/spoke/subnets/nodes"
ZONE = f"{S}/resourceGroups/dns/providers/Microsoft.Network/privateDnsZones/privatelink.westeurope.azmk8s.io"
IMAGES = f"{S}/resourceGroups/images"
REGISTRY = f"{IMAGES}/providers/Microsoft.ContainerRegistry/registries/acme"
MODERN = f"{IMAGES}/providers/Microsoft.ContainerRegistry/registries/modern"
IDENTITIES = f"{S}/resourceGroups/identities/providers/Microsoft.ManagedIdentity/userAssignedIdentities"

CONTROL_ID = "cccccccc-0000-4000-8000-000000000001"
KUBELET_ID = "aaaaaaaa-0000-4000-8000-000000000001"
GROUP = "bbbbbbbb-0000-4000-8000-000000000001"
CONTROL = UserAssignedIdentity(id=f"{IDENTITIES}/control", client_id="c1", principal_id=CONTROL_ID)
KUBELET = UserAssignedIdentity(id=f"{IDENTITIES}/kubelet", client_id="c2", principal_id=KUBELET_ID)
ACR = Registry(id=REGISTRY, name="acme", login_server="acme.azurecr.io")
ABAC = Registry(id=MODERN, name="modern", login_server="modern.azurecr.io", abac=True)


def _roles() -> dict[str, RoleDefinition]:
    text = (Path(__file__).parent.parent / "simulator" / "roles.toml").read_text(encoding="utf-8")
    found = {}
    for row in tomllib.loads(text)["role"]:
        block = Permission(
            actions=tuple(row.get("actions", ())),
            not_actions=tuple(row.get("not_actions", ())),
            data_actions=tuple(row.get("data_actions", ())),
        )
        path = f"{S}/providers/Microsoft.Authorization/roleDefinitions/{row['id']}"
        found[row["name"]] = RoleDefinition(id=path, name=row["name"], permissions=(block,))
    return found


ROLES = _roles()
CUSTOM = RoleDefinition(
    id=f"{S}/providers/Microsoft.Authorization/roleDefinitions/99999999-0000-4000-8000-000000000001",
    name="Node network",
    custom=True,
    permissions=(
        Permission(
            actions=(
                "Microsoft.Network/*/join/action",
                "Microsoft.Network/virtualNetworks/subnets/*",
                "Microsoft.ContainerRegistry/registries/pull/read",
                "Microsoft.Network/privateDnsZones/*",
                "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
                "Microsoft.Compute/*",
                "Microsoft.Network/loadBalancers/*",
                "Microsoft.Network/publicIPAddresses/*",
            ),
            not_actions=("Microsoft.Network/virtualNetworks/delete",),
        ),
    ),
)


def cluster(**changes: object) -> ManagedCluster:
    """A private cluster in a subnet of its own, with identities and a zone that were brought along."""
    fields: dict[str, object] = {
        "id": f"{S}/resourcegroups/shop/providers/Microsoft.ContainerService/managedClusters/prod-weu",
        "name": "prod-weu",
        "resource_group": "shop",
        "subscription_id": SUBSCRIPTION,
        "provisioning_state": "Succeeded",
        "identity_type": "UserAssigned",
        "identities": (CONTROL,),
        "kubelet": KUBELET,
        "node_resource_group": "MC_shop_prod-weu_westeurope",
        "pools": (NodePool(name="system", type="VirtualMachineScaleSets", subnet_id=SUBNET),),
        "network_plugin": "azure",
        "outbound_type": "loadBalancer",
        "private": True,
        "private_dns_zone": ZONE,
        "sku": "Base",
    }
    return ManagedCluster(**{**fields, **changes})  # type: ignore[arg-type]


_number = iter(range(1, 10**6))


def assignment(role: RoleDefinition | str, scope: str, principal_id: str, **changes: object) -> RoleAssignment:
    """A role assignment with an id of its own."""
    definition = ROLES[role] if isinstance(role, str) else role
    prefix = "" if scope == "/" else scope
    fields: dict[str, object] = {
        "id": f"{prefix}/providers/Microsoft.Authorization/roleAssignments/{next(_number):08d}-0000-4000-8000-000000000000",
        "principal_id": principal_id,
        "principal_type": "ServicePrincipal",
        "role_definition_id": definition.id,
        "scope": scope,
        "listed_in": frozenset({SUBSCRIPTION}),
    }
    return RoleAssignment(**{**fields, **changes})  # type: ignore[arg-type]


class Estate:
    """What is there, what scans remembered of it, and the findings that are stored."""

    def __init__(self, *live: RoleAssignment, made: ManagedCluster | None = None) -> None:
        self.cluster = made or cluster()
        self.live = list(live)
        self.roles: tuple[RoleDefinition, ...] = (*ROLES.values(), CUSTOM)
        self.registries: tuple[Registry, ...] = (ACR, ABAC)
        self.identities: tuple[UserAssignedIdentity, ...] = (CONTROL, KUBELET)
        self.subnets: tuple[Subnet, ...] = (Subnet(id=SUBNET),)
        self.groups: dict[str, tuple[str, ...]] = {}
        self.known: dict[str, BaselineGrant] = {}
        self.stored: tuple[Finding, ...] = ()
        self.last: datetime | None = None

    def snapshot(
        self,
        now: datetime = NOW,
        *,
        unread: Sequence[Unread] = (),
        listed: Iterable[str] = (SUBSCRIPTION,),
        registries: bool = True,
        memberships: bool = True,
        identities: bool = True,
        subnets: bool = True,
        clusters: bool = True,
        dark: Collection[str] = (),
        stale: Sequence[RoleAssignment] | None = None,
    ) -> Snapshot:
        """What a scan sees now; the switches say what it can read, `stale` is an older listing.

        `dark` names roles whose definitions, and subscriptions whose registries cannot be read.
        """
        read = frozenset(listed)
        live = list(self.live if stale is None else stale) if read else []
        live += [row.assignment for row in self.known.values() if not row.lost and not read]
        members: dict[str, set[str]] = {}
        for principal_id, groups in self.groups.items():
            for group in groups:
                members.setdefault(group, set()).add(principal_id)
        grants = baseline.observe(self.known, live, read=read, members=members, began=now, last=self.last)
        principals = (CONTROL_ID, KUBELET_ID)
        access = Access(
            assignments=baseline.standing(live, grants),
            listed=read,
            definitions=tuple(one for one in self.roles if one.name not in dark),
            memberships=tuple(
                Membership(principal_id=one, groups=self.groups.get(one, ())) for one in principals if memberships
            ),
            identities=self.identities if identities else (),
            gone=frozenset(
                one.id.lower()
                for one in (*self.cluster.identities, *filter(None, [self.cluster.kubelet]))
                if identities and one.id.lower() not in {other.id.lower() for other in self.identities}
            ),
            registries=tuple(one for one in self.registries if registries and subscription_of(one.id) not in dark),
            registries_of=(read | {SUBSCRIPTION}) - set(dark) if registries else frozenset(),
            subnets=self.subnets if subnets else (),
            baseline=tuple(grants.values()),
        )
        return Snapshot(
            taken=now,
            tenant_id=TENANT_ID,
            subscriptions=(subscription(),),
            clusters=(self.cluster,) if clusters else (),
            access=access,
            unread=tuple(unread),
        )

    def scan(self, now: datetime = NOW, **switches: object) -> dict[str, Finding]:
        """One scan; gives the open findings by rule."""
        snapshot = self.snapshot(now, **switches)  # type: ignore[arg-type]
        self.stored = reconcile(self.stored, evaluate(snapshot, DRIFT), snapshot, DRIFT)
        forgotten = drift.settled(snapshot)
        self.known = {
            row.assignment.key: row for row in snapshot.access.baseline if row.assignment.key not in forgotten
        }
        self.last = now
        return self.open()

    def open(self) -> dict[str, Finding]:
        """The open findings by rule."""
        return {one.rule: one for one in self.stored if one.open}

    def delete(self, *gone: RoleAssignment) -> None:
        """Delete assignments."""
        self.live = [one for one in self.live if one not in gone]

    def event(self, gone: RoleAssignment, at: datetime, by: Caller | None = None) -> None:
        """What settle makes of the event of a deletion."""
        self.known = baseline.deleted(self.known, gone.id.upper(), at, by or Caller(object_id="somebody"))


NEEDED = {
    drift.PULL: ("AcrPull", REGISTRY, KUBELET_ID),
    drift.JOIN: ("Network Contributor", SUBNET, CONTROL_ID),
    drift.MANAGE: ("Contributor", NODES, CONTROL_ID),
    drift.ASSIGN: ("Managed Identity Operator", KUBELET.id, CONTROL_ID),
    drift.DNS: ("Private DNS Zone Contributor", ZONE, CONTROL_ID),
}
"""What the cluster needs: the rule that tells of its loss, and the grant that gives it."""


def whole(without: Collection[str] = ()) -> Estate:
    """An estate in which all that is needed is held, but for the grants of some rules."""
    return Estate(*(assignment(*grant) for rule, grant in NEEDED.items() if rule not in without))


def lost(rule: str, **changes: object) -> Estate:
    """An estate that was scanned once and then lost the grant of a rule, with a second scan a day later to come."""
    estate = whole({rule})
    gone = assignment(*NEEDED[rule], **changes)
    estate.live.append(gone)
    estate.scan(NOW)
    estate.delete(gone)
    return estate


def only(rule: str, *actions: str, data: Collection[str] = (), **changes: object) -> Estate:
    """An estate in which a custom role of these actions, and no more, is given for what a rule is about."""
    _, scope, principal_id = NEEDED[rule]
    role = RoleDefinition(
        id=f"{S}/providers/Microsoft.Authorization/roleDefinitions/99999999-0000-4000-8000-000000000002",
        name="Only that",
        custom=True,
        permissions=(Permission(actions=actions, data_actions=tuple(data)),),
    )
    estate = whole({rule})
    estate.roles = (*estate.roles, role)
    estate.live.append(assignment(role, scope, principal_id, **changes))
    return estate


def worlds() -> list[Snapshot]:
    """Snapshots in which every variant of every rule of drift fires."""
    found = []
    for rule in NEEDED:
        estate = lost(rule)
        found.append(estate.snapshot(after(1)))
        found.append(whole({rule}).snapshot())
    for rule, (role, scope, principal_id) in NEEDED.items():
        estate = whole({rule})
        estate.groups[principal_id] = (GROUP,)
        estate.live.append(assignment(role, scope, GROUP, principal_type="Group"))
        estate.scan(NOW)
        estate.groups.clear()
        found.append(estate.snapshot(after(1)))
    for rule, (role, _, principal_id) in NEEDED.items():
        estate = whole({rule})
        above = assignment(role, MG, principal_id)
        estate.live.append(above)
        estate.scan(NOW)
        estate.live[-1] = replace(above, listed_in=frozenset({OTHER}))
        found.append(estate.snapshot(after(1), listed=(SUBSCRIPTION, OTHER)))
    estate = whole()
    estate.identities = (CONTROL,)
    found.append(estate.snapshot())
    estate = whole()
    estate.identities = (replace(CONTROL, client_id="another"), KUBELET)
    found.append(estate.snapshot())
    return found
