"""The retailer's October, and what its clusters rest on, worked out from the wire by the app's own core."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.access import Membership, Permission, Registry, RoleAssignment, RoleDefinition
from shared.model import ManagedCluster, NodePool, ServicePrincipal, UserAssignedIdentity
from shared.needs import load_bearing, needs, pulls, world
from shared.permissions import grants
from simulator import Simulator, load
from simulator.tenant import Tenant

from .clients import Client, Connect, Start

DELETED = datetime(2026, 10, 13, 14, 20, tzinfo=UTC)


class Wire:
    """The tenant as it comes over the wire, in the app's own records."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._subscriptions = [one.id for one in client.azure.tenant.subscriptions]

    def all(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for subscription in self._subscriptions:
            link = f"/subscriptions/{subscription}/providers/{path}?api-version=1"
            while link:
                page = self._client.arm(link).json()
                found += page["value"]
                link = page.get("nextLink", "")
        return found

    def assignments(self) -> list[RoleAssignment]:
        return [
            RoleAssignment(
                id=item["id"],
                principal_id=item["properties"]["principalId"],
                role_definition_id=item["properties"]["roleDefinitionId"],
                scope=item["properties"]["scope"],
                listed_in=frozenset({subscription}),
            )
            for subscription in self._subscriptions
            for item in self._client.arm(
                f"/subscriptions/{subscription}/providers/Microsoft.Authorization/roleAssignments?api-version=1"
            ).json()["value"]
        ]

    def definitions(self) -> list[RoleDefinition]:
        return [
            RoleDefinition(
                id=item["id"],
                permissions=tuple(
                    Permission(
                        actions=tuple(block["actions"]),
                        not_actions=tuple(block["notActions"]),
                        data_actions=tuple(block["dataActions"]),
                        not_data_actions=tuple(block["notDataActions"]),
                    )
                    for block in item["properties"]["permissions"]
                ),
            )
            for item in self.all("Microsoft.Authorization/roleDefinitions")
        ]

    def registries(self) -> list[Registry]:
        return [
            Registry(
                id=item["id"],
                abac=item["properties"]["roleAssignmentMode"] == "AbacRepositoryPermissions",
                anonymous=item["properties"]["anonymousPullEnabled"],
            )
            for item in self.all("Microsoft.ContainerRegistry/registries")
        ]

    def principals(self) -> list[ServicePrincipal]:
        found = self._client.graph("/v1.0/servicePrincipals?$top=999").json()["value"]
        return [ServicePrincipal(object_id=item["id"], app_id=item["appId"], name="") for item in found]

    def membership(self, principal: ServicePrincipal) -> Membership:
        found = self._client.graph(f"/v1.0/servicePrincipals/{principal.object_id}/transitiveMemberOf").json()
        return Membership(principal_id=principal.object_id, groups=tuple(item["id"] for item in found["value"]))

    def clusters(self) -> list[ManagedCluster]:
        return [self._cluster(item) for item in self.all("Microsoft.ContainerService/managedClusters")]

    def _cluster(self, item: dict[str, Any]) -> ManagedCluster:
        properties, segments = item["properties"], item["id"].split("/")
        client_id = properties["servicePrincipalProfile"]["clientId"]
        kubelet = properties.get("identityProfile", {}).get("kubeletidentity")
        return ManagedCluster(
            id=item["id"],
            name=item["name"],
            subscription_id=segments[2],
            resource_group=segments[4],
            client_id="" if client_id == "msi" else client_id,
            principal_id=item.get("identity", {}).get("principalId", ""),
            provisioning_state=properties["provisioningState"],
            node_resource_group=properties["nodeResourceGroup"],
            network_plugin=properties["networkProfile"]["networkPlugin"],
            outbound_type=properties["networkProfile"]["outboundType"],
            kubelet=kubelet and UserAssignedIdentity(id=kubelet["resourceId"], principal_id=kubelet["objectId"]),
            pools=tuple(
                NodePool(name=pool["name"], type=pool["type"], subnet_id=pool.get("vnetSubnetID", ""))
                for pool in properties["agentPoolProfiles"]
            ),
        )


def resting_on(wire: Wire) -> set[tuple[str, str, str]]:
    """Each load-bearing assignment as cluster, identity and assignment id."""
    principals, clusters = wire.principals(), wire.clusters()
    granted = grants(wire.assignments(), wire.definitions(), [wire.membership(one) for one in principals])
    around = world(service_principals=principals)
    every = [need for one in clusters for need in needs(one, around)]
    every += [need for one in clusters for need in pulls(one, granted, wire.registries(), around)]
    return {
        (support.need.cluster, support.need.identity.value, support.assignment_id.lower())
        for support in load_bearing(every, granted)
    }


def declared(tenant: Tenant, moment: datetime) -> set[tuple[str, str, str]]:
    (impact,) = [one for one in tenant.impacts if one.at == moment]
    return {(one.cluster, one.identity, one.assignment_id.lower()) for one in impact.assignments(tenant)}


@pytest.mark.parametrize("moment", [impact.at for impact in load("retailer").impacts])
def test_clusters_rest_on_what_the_file_declares(start: Start, connect: Connect, moment: datetime) -> None:
    azure = start(load("retailer"), now=moment)
    azure.tenant.advance(moment)
    assert resting_on(Wire(connect(azure))) == declared(azure.tenant, moment)


def test_the_clean_up_and_its_repair(start: Start, connect: Connect) -> None:
    azure = start(load("retailer"))
    tenant, wire = azure.tenant, Wire(connect(azure))
    tenant.advance(DELETED - timedelta(seconds=1))
    before = resting_on(wire)
    tenant.advance(DELETED)
    (lost,) = before - resting_on(wire)
    assert lost[:2] == ("shop-prod", "kubelet")
    operation = tenant.log[-1]
    assert operation.resource_id.lower() == lost[2] and operation.at == DELETED
    assert operation.caller.upn == "tomas.berg@northwind-retail.example"
    assert operation.evidence["role"] == "User Access Administrator"
    tenant.advance(DELETED + timedelta(days=2))
    ((cluster, identity, again),) = resting_on(wire) - before
    assert (cluster, identity) == ("shop-prod", "kubelet") and again != lost[2]


def test_the_update_takes_everything_for_twelve_minutes(start: Start, connect: Connect) -> None:
    azure = start(load("retailer"))
    tenant, wire = azure.tenant, Wire(connect(azure))
    begins = datetime(2026, 10, 20, 10, tzinfo=UTC)
    tenant.advance(begins - timedelta(seconds=1))
    before = resting_on(wire)
    tenant.advance(begins)
    assert tenant.cluster("shop-dr").state == "Updating"
    assert {one[:2] for one in before - resting_on(wire)} == {("shop-dr", "cluster"), ("shop-dr", "kubelet")}
    tenant.advance(begins + timedelta(minutes=12))
    after = resting_on(wire)
    assert len(after) == len(before) and len(after - before) == 2
    assert tenant.cluster("shop-dr").state == "Succeeded"


def test_a_declaration_of_what_nobody_holds_is_an_error(azure: Simulator) -> None:
    pull = azure.tenant.access.role("AcrPull").id
    azure.actions.unassign(next(one.id for one in azure.tenant.access if one.role == pull), "Aiko Mori")
    with pytest.raises(KeyError, match="nothing gives AcrPull"):
        azure.tenant.impacts[0].assignments(azure.tenant)
