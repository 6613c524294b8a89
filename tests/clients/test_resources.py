"""Registries, subnets, and what ARM says is gone."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from azure.mgmt.containerregistry.models import Registry as Wire

from shared.access import Registry, RoleAssignment, Subnet
from shared.app.reads import each
from shared.clients.http import NotFoundError, ReadError
from shared.clients.resources import registry, resource_type, subnet
from shared.model import Unread
from simulator import Fault, load
from simulator.entities import Resource

from ..conftest import Start, Watch, day

NOW = day("2026-10-12T06:00")


@pytest.mark.parametrize(
    ("properties", "abac", "anonymous"),
    [
        ({}, False, False),
        ({"roleAssignmentMode": "AbacRepositoryPermissions"}, True, False),
        ({"roleAssignmentMode": "abacrepositorypermissions"}, True, False),
        ({"roleAssignmentMode": "LegacyRegistryPermissions", "anonymousPullEnabled": True}, False, True),
        ({"roleAssignmentMode": None, "anonymousPullEnabled": None}, False, False),
        ({"roleAssignmentMode": "SomethingNew"}, False, False),
    ],
)
def test_a_registry_and_the_rights_that_it_honours(properties: dict[str, Any], abac: bool, anonymous: bool) -> None:
    wire = {"id": "/x/Acme", "name": "Acme", "properties": {"loginServer": "acme.azurecr.io", **properties}}
    assert registry(Wire(wire)) == Registry(
        id="/x/Acme", name="Acme", login_server="acme.azurecr.io", abac=abac, anonymous=anonymous
    )


def test_a_registry_that_shows_next_to_nothing() -> None:
    assert registry(Wire({"id": "/x"})) == Registry(id="/x")
    for odd in ({}, {"id": 7}, {"id": None}, {"id": "/x", "properties": {"anonymousPullEnabled": "maybe"}}):
        with pytest.raises((msgspec.ValidationError, ValueError)):
            registry(Wire(odd))


@pytest.mark.parametrize(
    ("properties", "found"),
    [
        (None, ("", "")),
        ({}, ("", "")),
        ({"routeTable": {"id": "/rt"}}, ("/rt", "")),
        ({"routeTable": None, "natGateway": {"id": "/nat"}}, ("", "/nat")),
        ({"routeTable": {}, "natGateway": {"id": None}}, ("", "")),
    ],
)
def test_a_subnet_and_what_hangs_on_it(properties: Any, found: tuple[str, str]) -> None:
    assert subnet("/s", properties) == Subnet(id="/s", route_table_id=found[0], nat_gateway_id=found[1])


def test_a_subnet_of_another_shape_is_none() -> None:
    for odd in ([], "x", {"routeTable": "/rt"}, {"natGateway": {"id": 7}}):
        if odd == []:
            continue
        with pytest.raises(msgspec.ValidationError):
            subnet("/s", odd)


@pytest.mark.parametrize(
    ("resource_id", "kind"),
    [
        ("/subscriptions/1/resourceGroups/g", ""),
        ("/subscriptions/1", ""),
        ("", ""),
        (
            "/subscriptions/1/resourceGroups/g/providers/Microsoft.Network/natGateways/n",
            "microsoft.network/natgateways",
        ),
        (
            "/subscriptions/1/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s/",
            "microsoft.network/virtualnetworks/subnets",
        ),
        ("/x/providers/A.B/c/d/providers/E.F/g/h", "e.f/g"),
    ],
)
def test_the_type_of_a_resource(resource_id: str, kind: str) -> None:
    assert resource_type(resource_id) == kind


@pytest.fixture
def retailer(start: Start) -> Watch:
    watch = start(load("retailer"), storage=False)
    watch.advance(NOW)
    return watch


def production(watch: Watch) -> str:
    return watch.azure.tenant.subscription("Northwind Production").id


def record_registries(watch: Watch) -> None:
    """Two pages of registries."""
    name = production(watch)
    path = f"/subscriptions/{name}/providers/Microsoft.ContainerRegistry/registries"
    items = [{"id": f"{path}/r{n}", "name": f"r{n}", "location": "westeurope", "properties": {}} for n in range(3)]
    pages = [{"value": items[:2], "nextLink": f"https://management.azure.com{path}?$skipToken=2"}, {"value": items[2:]}]
    watch.azure.record(path, *(json.dumps(page).encode() for page in pages), rewrite=True)


async def test_every_page_of_the_registries(retailer: Watch) -> None:
    record_registries(retailer)
    async with retailer.clients(storage=False) as clients:
        found = await clients.resources.list_registries(production(retailer))
    assert [one.name for one in found] == ["r0", "r1", "r2"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 403}, "HTTP 403 AuthorizationFailed"),
        ({"status": 503}, "HTTP 503"),
        ({"cut": True}, ""),
        ({"html": True}, ""),
        ({"body": b"{}"}, "the service answered 200 with something that is no listing"),
        ({"body": b'{"value": [{"id": null}]}'}, "an answer of an unexpected shape"),
    ],
)
async def test_registries_that_are_not_all_there_are_unread(
    retailer: Watch, fault: dict[str, Any], reason: str
) -> None:
    retailer.azure.add(Fault(path="Microsoft.ContainerRegistry", host="arm", **fault))
    async with retailer.clients(storage=False) as clients:
        with pytest.raises(ReadError) as caught:
            await clients.resources.list_registries(production(retailer))
    unread = caught.value.unread
    assert (unread.kind, unread.scope) == (Registry, f"/subscriptions/{production(retailer)}")
    assert unread.reason.startswith(reason)
    assert bool(unread.permission) is (fault.get("status") == 403)


async def test_a_subscription_that_never_had_a_registry_has_none_and_that_is_an_answer(retailer: Watch) -> None:
    body = b'{"error": {"code": "MissingSubscriptionRegistration", "message": "not registered"}}'
    retailer.azure.add(Fault(path="Microsoft.ContainerRegistry", host="arm", status=409, body=body))
    unread: list[Unread] = []
    async with retailer.clients(storage=False) as clients:
        names = [production(retailer)]
        assert await each(names, clients.resources.list_registries, unread) == []
        assert unread == []
        retailer.azure.clear()
        retailer.azure.add(
            Fault(path="Microsoft.ContainerRegistry", host="arm", status=409, body=b'{"error": {"code": "Conflict"}}')
        )
        await each(names, clients.resources.list_registries, unread)
    assert [one.reason for one in unread] == ["HTTP 409 Conflict"]
    assert not [one for one in retailer.azure.requests if one.method == "POST" and "register" in one.target.lower()]


async def test_a_subnet_by_its_id(retailer: Watch) -> None:
    shown = f"/subscriptions/{production(retailer)}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-shop/subnets/snet-prod"
    async with retailer.clients(storage=False) as clients:
        assert (await clients.resources.get_subnet(shown)).id == shown
        with pytest.raises(NotFoundError):
            await clients.resources.get_subnet(f"{shown}-gone")
        retailer.azure.add(Fault(path="/subnets/", host="arm", status=403))
        with pytest.raises(ReadError) as caught:
            await clients.resources.get_subnet(shown)
        assert (caught.value.unread.kind, caught.value.unread.scope) == (Subnet, shown)
        assert "subnets/read" in caught.value.unread.permission
        retailer.azure.clear()
        retailer.azure.add(Fault(path="/subnets/", host="arm", body=b'{"id": "x", "properties": {"routeTable": "y"}}'))
        with pytest.raises(ReadError, match="unexpected shape"):
            await clients.resources.get_subnet(shown)


@pytest.mark.parametrize("scope", ["/", "/providers/Microsoft.Management/managementGroups/m", "/subscriptions/1", ""])
async def test_what_is_no_resource_is_never_called_gone(retailer: Watch, scope: str) -> None:
    async with retailer.clients(storage=False) as clients:
        assert not await clients.resources.is_gone(scope)
    assert not [one for one in retailer.azure.requests if one.method == "GET"]


@pytest.mark.parametrize("status", [403, 500])
async def test_what_cannot_be_asked_is_not_gone(retailer: Watch, status: int) -> None:
    group = f"/subscriptions/{production(retailer)}/resourceGroups/gone"
    async with retailer.clients(storage=False) as clients:
        assert await clients.resources.is_gone(group)
        retailer.azure.add(Fault(path="/resourceGroups/gone", host="arm", status=status))
        with pytest.raises(ReadError) as caught:
            await clients.resources.is_gone(group)
    assert caught.value.unread.kind is RoleAssignment


async def test_a_type_without_a_version_of_ours_is_asked_for_with_the_newest_stable_one(retailer: Watch) -> None:
    group = f"/subscriptions/{production(retailer)}/resourceGroups/rg-shop-prod"
    made = [
        Resource(subscription_id=production(retailer), group="rg-shop-prod", type=kind, name=name)
        for kind, name in (
            ("Microsoft.ServiceBus/namespaces", "bus"),
            ("Microsoft.ServiceBus/namespaces/queues", "bus/q"),
        )
    ]
    made.append(
        Resource(
            subscription_id=production(retailer),
            group="rg-shop-prod",
            type="Microsoft.DevCenter/devcenters",
            name="dev",
        )
    )
    retailer.azure.tenant.resources += made
    async with retailer.clients(storage=False) as clients:
        for one in made:
            assert not await clients.resources.is_gone(one.id)
            assert await clients.resources.is_gone(f"{one.id}-gone")
        with pytest.raises(ReadError, match="no API version for its type"):
            await clients.resources.is_gone(f"{group}/providers/Microsoft.ServiceBus/namespaces/bus/nothings/x")
        assert await clients.resources.is_gone(f"{group}/providers/Microsoft.ServiceBus/namespaces/gone/nothings/x")
        with pytest.raises(ReadError, match="no API version for its type"):
            await clients.resources.is_gone(f"{group}/nothing/x")
    asked = [one.target for one in retailer.azure.requests if one.host == "arm"]
    assert len([one for one in asked if "/providers/microsoft.servicebus?" in one.lower()]) == 1
    assert [one.partition("api-version=")[2] for one in asked if "/namespaces/bus?" in one][:1] == ["2024-01-01"]
    assert "2025-10-01-preview" in next(one for one in asked if "/devcenters/dev?" in one)


@pytest.mark.parametrize("path", ["/providers/microsoft.servicebus[?]", "/namespaces/bus[?]"])
async def test_who_may_not_ask_about_a_resource_asks_about_its_group(retailer: Watch, path: str) -> None:
    bus = "providers/Microsoft.ServiceBus/namespaces/bus"
    groups = f"/subscriptions/{production(retailer)}/resourceGroups"
    retailer.azure.add(Fault(path=path, host="arm", status=403))
    async with retailer.clients(storage=False) as clients:
        assert await clients.resources.is_gone(f"{groups}/gone/{bus}")
        for _ in range(2):
            with pytest.raises(ReadError, match="HTTP 403"):
                await clients.resources.is_gone(f"{groups}/rg-shop-prod/{bus}")
        retailer.azure.add(Fault(path="/resourceGroups/rg-shop-prod[?]", host="arm", status=403))
        with pytest.raises(ReadError, match="HTTP 403"):
            await clients.resources.is_gone(f"{groups}/rg-shop-prod/{bus}")


async def test_a_404_about_the_type_says_nothing_of_the_resource(retailer: Watch) -> None:
    scope = f"/subscriptions/{production(retailer)}/resourceGroups/rg-shop-prod/providers/Microsoft.KeyVault/vaults/v"
    body = b'{"error": {"code": "InvalidResourceType", "message": "no"}}'
    async with retailer.clients(storage=False) as clients:
        assert await clients.resources.is_gone(scope)
        retailer.azure.add(Fault(path="/vaults/v", host="arm", status=404, body=body))
        with pytest.raises(ReadError, match="InvalidResourceType"):
            await clients.resources.is_gone(scope)
