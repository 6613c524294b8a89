"""Role assignments, roles, identities, registries, subnets and the log through the real SDK clients, faults "
"included."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.access import RoleAssignment
from shared.clients.http import NotFoundError, ReadError
from simulator import Fault, load

from ..conftest import Start, Watch, day

NOW = day("2026-10-12T06:00")


@pytest.fixture
def retailer(start: Start) -> Watch:
    watch = start(load("retailer"), storage=False)
    watch.advance(NOW)
    watch.azure.now = NOW
    return watch


def production(watch: Watch) -> str:
    return watch.azure.tenant.subscription("Northwind Production").id


async def test_every_page_of_a_listing_inherited_ones_included(retailer: Watch) -> None:
    retailer.azure.assignments_page_size = 3
    name = production(retailer)
    async with retailer.clients(storage=False) as clients:
        found, unread = await clients.rbac.list_assignments(name)
    assert not unread
    assert len(found) > 6
    assert any("managementGroups" in one.scope for one in found)
    assert {one.listed_in for one in found} == {frozenset({name})}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 403}, "HTTP 403 AuthorizationFailed"),
        ({"status": 503}, "HTTP 503"),
        ({"cut": True}, ""),
        ({"reset": "during"}, ""),
        ({"html": True}, ""),
    ],
)
async def test_a_listing_that_breaks_off_gives_nothing_but_unread(
    retailer: Watch, fault: dict[str, Any], reason: str
) -> None:
    retailer.azure.assignments_page_size = 3
    retailer.azure.add(Fault(path="roleAssignments", host="arm", page=2, **fault))
    async with retailer.clients(storage=False) as clients:
        found, unread = await clients.rbac.list_assignments(production(retailer))
    assert found == []
    (one,) = unread
    assert one.kind is RoleAssignment
    assert one.scope == f"/subscriptions/{production(retailer)}"
    assert one.reason.startswith(reason)
    assert bool(one.permission) is (fault == {"status": 403})


async def test_what_a_principal_holds_at_a_scope_counts_its_groups(retailer: Watch) -> None:
    tenant = retailer.azure.tenant
    kubelet = tenant.cluster("web-stage").kubelet_object_id
    registry = next(one.scope for one in tenant.access if one.scope.endswith("/northwindretail"))
    async with retailer.clients(storage=False) as clients:
        held = await clients.rbac.list_held_at(registry, kubelet)
        assert [one.principal_type for one in held] == ["Group"]
        assert {one.listed_in for one in held} == {frozenset({production(retailer)})}
        with pytest.raises(ReadError, match="HTTP 400"):
            await clients.rbac.list_held_at(registry, "' or 1 eq 1 or '")
        with pytest.raises(NotFoundError):
            await clients.rbac.get_definition("/providers/Microsoft.Authorization/roleDefinitions/" + "0" * 32)
        role = await clients.rbac.get_definition(held[0].role_definition_id)
        assert (role.name, role.custom) == ("AcrPull", False)
        assert role.permissions[0].actions == ("Microsoft.ContainerRegistry/registries/pull/read",)


async def test_identities_registries_subnets_and_groups(retailer: Watch) -> None:
    tenant = retailer.azure.tenant
    cluster = tenant.cluster("web-stage")
    async with retailer.clients(storage=False) as clients:
        identities = await clients.identities.list_identities(cluster.subscription_id)
        assert cluster.kubelet_object_id in {one.principal_id for one in identities}
        assert await clients.identities.get_identity(identities[0].id) == identities[0]
        with pytest.raises(NotFoundError):
            await clients.identities.get_identity(identities[0].id + "x")
        with pytest.raises(NotFoundError):
            await clients.identities.list_federated_credentials(identities[0].id + "x")
        registries = await clients.resources.list_registries(production(retailer))
        assert [one.login_server for one in registries] == ["northwindretail.azurecr.io"]
        assert not await clients.resources.is_gone(registries[0].id)
        assert await clients.resources.is_gone(registries[0].id + "x")
        assert await clients.resources.is_gone(registries[0].id.split("/providers/")[0] + "x")
        with pytest.raises(ReadError, match="HTTP 404 InvalidResourceNamespace"):
            await clients.resources.is_gone(registries[0].id.replace("ContainerRegistry", "Unknown") + "x")
        memberships, gone, unread = await clients.entra.list_memberships(
            [cluster.kubelet_object_id, "11111111-1111-4111-8111-111111111111", "no guid"]
        )
        assert not unread
        assert gone == {"11111111-1111-4111-8111-111111111111"}
        (one,) = memberships
        assert len(one.groups) == 2, "the group and the group that holds it"


async def test_memberships_that_are_refused_are_unread_and_nobody_is_gone(retailer: Watch) -> None:
    retailer.azure.add(Fault(path="transitiveMemberOf", host="graph", status=403))
    async with retailer.clients(storage=False) as clients:
        memberships, gone, unread = await clients.entra.list_memberships(
            [retailer.azure.tenant.cluster("web-stage").principal_id]
        )
    assert (memberships, gone) == ([], frozenset())
    assert "Application.Read.All" in unread[0].permission


async def test_the_log_has_a_deletion_when_its_time_has_come(retailer: Watch) -> None:
    azure = retailer.azure
    gone = next(one for one in azure.tenant.access if one.scope.endswith("/northwindretail"))
    azure.actions.unassign(gone.id, "Tomas Berg")
    azure.actions.unassign(gone.id, "Aiko Mori")
    async with retailer.clients(storage=False) as clients:
        assert await clients.activity.list_deletions(production(retailer), NOW, NOW) == []
        azure.now = NOW + timedelta(minutes=2)
        (found,) = await clients.activity.list_deletions(production(retailer), NOW - timedelta(minutes=1), azure.now)
        azure.add(Fault(path="eventtypes", host="arm", status=403))
        with pytest.raises(ReadError, match="HTTP 403"):
            await clients.activity.list_deletions(production(retailer), NOW, azure.now)
    assert found.assignment.id.lower() == gone.id.lower()
    assert found.by.upn == "tomas.berg@northwind-retail.example", "who deletes what is gone deletes nothing"
