"""What azure-mgmt-msi's objects become, and how a read of identities fails."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azure.mgmt.msi.v2024_11_30.models import FederatedIdentityCredential as Federated
from azure.mgmt.msi.v2024_11_30.models import Identity

from shared.access import FederatedIdentityCredential, UserAssignedIdentity
from shared.clients.http import NotFoundError, ReadError
from shared.clients.identities import federated_credential, identity
from simulator import Fault, load

from ..conftest import Start, Watch, day

NOW = day("2026-10-12T06:00")


def test_an_identity() -> None:
    wire = {"id": "/x/Kubelet", "properties": {"clientId": "c", "principalId": "p", "tenantId": "t"}}
    found = identity(Identity.deserialize(wire))
    assert found == UserAssignedIdentity(id="/x/Kubelet", client_id="c", principal_id="p", tenant_id="t")
    assert found.name == "Kubelet"
    assert identity(Identity.deserialize({"id": "/x"})) == UserAssignedIdentity(id="/x")
    with pytest.raises(ValueError, match="without an id"):
        identity(Identity.deserialize({"properties": {"clientId": "c"}}))


def test_a_federated_credential_with_and_without_a_subject() -> None:
    wire = {"id": "/x/f", "properties": {"issuer": "https://i/", "subject": "system:a", "audiences": ["api://b"]}}
    assert federated_credential(Federated.deserialize(wire), "/x") == FederatedIdentityCredential(
        id="/x/f", identity_id="/x", issuer="https://i/", subject="system:a", audiences=("api://b",), holder="x"
    )
    flexible = {"id": "/x/f", "properties": {"issuer": "https://i/", "claimsMatchingExpression": {"value": "x"}}}
    found = federated_credential(Federated.deserialize(flexible), "/x")
    assert (found.issuer, found.subject, found.audiences) == ("https://i/", "", ())
    assert federated_credential(Federated.deserialize({}), "/x") == (
        FederatedIdentityCredential(id="", identity_id="/x", issuer="", holder="x")
    )


@pytest.fixture
def retailer(start: Start) -> Watch:
    watch = start(load("retailer"), storage=False)
    watch.advance(NOW)
    return watch


def subscription(watch: Watch) -> str:
    return watch.azure.tenant.cluster("shop-prod").subscription_id


def in_two_pages(watch: Watch) -> None:
    """Three identities, in two pages."""
    name = subscription(watch)
    path = f"/subscriptions/{name}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
    items = [{"id": f"{path}/i{n}", "location": "x", "properties": {"clientId": f"c{n}"}} for n in range(3)]
    pages = [{"value": items[:2], "nextLink": f"https://management.azure.com{path}?$skipToken=2"}, {"value": items[2:]}]
    watch.azure.record(path, *(json.dumps(page).encode() for page in pages), rewrite=True)


async def test_every_page_of_the_identities(retailer: Watch) -> None:
    in_two_pages(retailer)
    async with retailer.clients(storage=False) as clients:
        found = await clients.identities.list_identities(subscription(retailer))
    assert [(one.name, one.client_id, one.principal_id) for one in found] == [(f"i{n}", f"c{n}", "") for n in range(3)]


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"status": 403}, "HTTP 403 AuthorizationFailed", "userAssignedIdentities/read"),
    ({"status": 503}, "HTTP 503", ""),
    ({"cut": True}, "", ""),
    ({"reset": "during"}, "", ""),
    ({"html": True}, "", ""),
    ({"body": b"{}"}, "the service answered 200 with something that is no listing", ""),
    ({"body": b'{"value": [{"properties": {}}]}'}, "an answer of an unexpected shape", ""),
]


@pytest.mark.parametrize(("fault", "reason", "permission"), FAULTS)
async def test_a_listing_that_is_not_whole_is_unread(
    retailer: Watch, fault: dict[str, Any], reason: str, permission: str
) -> None:
    in_two_pages(retailer)
    retailer.azure.add(Fault(path="userAssignedIdentities.*skipToken", host="arm", **fault))
    async with retailer.clients(storage=False) as clients:
        with pytest.raises(ReadError) as caught:
            await clients.identities.list_identities(subscription(retailer))
    unread = caught.value.unread
    assert (unread.kind, unread.scope) == (UserAssignedIdentity, f"/subscriptions/{subscription(retailer)}")
    assert unread.reason.startswith(reason)
    assert permission in unread.permission and bool(permission) is bool(unread.permission)


async def test_what_an_identity_trusts_page_by_page(retailer: Watch) -> None:
    async with retailer.clients(storage=False) as clients:
        (known, *_) = await clients.identities.list_identities(subscription(retailer))
        items = [{"id": f"{known.id}/f{n}", "properties": {"issuer": f"https://i/{n}"}} for n in range(3)]
        first = {"value": items[:2], "nextLink": f"https://management.azure.com{known.id}/next?$skipToken=2"}
        retailer.azure.record(
            f"{known.id}/federatedIdentityCredentials",
            json.dumps(first).encode(),
            json.dumps({"value": items[2:]}).encode(),
            rewrite=True,
        )
        found = await clients.identities.list_federated_credentials(known.id)
        assert [one.issuer for one in found] == ["https://i/0", "https://i/1", "https://i/2"]
        assert {one.identity_id for one in found} == {known.id}
        retailer.azure.add(Fault(path="federatedIdentityCredentials", host="arm", status=403))
        with pytest.raises(ReadError) as caught:
            await clients.identities.list_federated_credentials(known.id)
    assert (caught.value.unread.kind, caught.value.unread.scope) == (FederatedIdentityCredential, known.id)
    assert "federatedIdentityCredentials/read" in caught.value.unread.permission


async def test_only_arm_s_404_is_gone(retailer: Watch) -> None:
    async with retailer.clients(storage=False) as clients:
        (known, *_) = await clients.identities.list_identities(subscription(retailer))
        assert (await clients.identities.get_identity(known.id.upper())).principal_id == known.principal_id
        with pytest.raises(NotFoundError):
            await clients.identities.get_identity(f"{known.id}-gone")
        for status in (403, 500):
            retailer.azure.add(Fault(path="userAssignedIdentities/", host="arm", status=status))
            with pytest.raises(ReadError) as caught:
                await clients.identities.get_identity(f"{known.id}-gone")
            assert not isinstance(caught.value, NotFoundError)
            retailer.azure.clear()


@pytest.mark.parametrize("odd", ["", "/", "kubelet", "/subscriptions/1/x", "/subscriptions//resourceGroups//x"])
async def test_an_id_that_is_none_is_unread_and_asks_nothing_strange(retailer: Watch, odd: str) -> None:
    async with retailer.clients(storage=False) as clients:
        with pytest.raises(ReadError):
            await clients.identities.get_identity(odd)
