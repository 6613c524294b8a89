"""Resource Manager's refusals and shapes that the SDK clients do not show."""

from __future__ import annotations

import pytest

from .clients import Client

VERSION = "?api-version=2024-01-01"


def test_the_api_version_is_required(client: Client) -> None:
    refused = client.arm("/subscriptions")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "MissingApiVersionParameter")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", "AuthenticationFailed"),
        ("Bearer nonsense", "InvalidAuthenticationToken"),
        ("graph", "InvalidAuthenticationTokenAudience"),
    ],
)
def test_the_token_must_be_for_arm(client: Client, token: str, code: str) -> None:
    token = f"Bearer {client.token('https://graph.microsoft.com')}" if token == "graph" else token
    refused = client.arm("/subscriptions" + VERSION, headers={"Authorization": token})
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, code)
    assert refused.headers["www-authenticate"].startswith("Bearer authorization_uri=")


def test_both_audiences_of_arm_are_taken(client: Client) -> None:
    for audience in ("https://management.azure.com/", "https://management.core.windows.net/"):
        headers = {"Authorization": f"Bearer {client.token(audience)}"}
        assert client.arm("/subscriptions" + VERSION, headers=headers).status_code == 200


def test_paths_have_no_case(client: Client) -> None:
    production = client.azure.tenant.subscription("Northwind Production")
    for path in ("/resourceGroups/rg-shop-prod", "/RESOURCEGROUPS/RG-SHOP-PROD"):
        found = client.arm(f"/Subscriptions/{production.id.upper()}{path}{VERSION}").json()
        assert found["tags"] == {"team": "shop"} and "/resourceGroups/rg-shop-prod" in found["id"]


def test_what_is_missing_is_named(client: Client) -> None:
    production = client.azure.tenant.subscription("Northwind Production")
    group = f"/subscriptions/{production.id}/resourceGroups/rg-shop-prod"
    clusters = "/providers/Microsoft.ContainerService/managedClusters"
    for path, code in (
        (f"/subscriptions/00000000-0000-0000-0000-000000000000{clusters}", "SubscriptionNotFound"),
        (f"/subscriptions/{production.id}/resourceGroups/nothing", "ResourceGroupNotFound"),
        (f"{group}{clusters}/nothing", "ResourceNotFound"),
        (f"/subscriptions/{production.id}/providers/Microsoft.Nothing/things", "InvalidResourceType"),
    ):
        refused = client.arm(path + VERSION)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, code)


def test_a_provider_names_the_versions_of_its_types_and_takes_no_other(client: Client) -> None:
    subscription = f"/subscriptions/{client.azure.tenant.subscription('Northwind Production').id}"
    shown = client.arm(f"{subscription}/providers/microsoft.servicebus?api-version=2025-04-01").json()
    types = {one["resourceType"]: one["apiVersions"] for one in shown["resourceTypes"]}
    assert "2024-01-01" in types["namespaces/queues"]
    bus = f"{subscription}/resourceGroups/rg-shop-prod/providers/Microsoft.ServiceBus"
    for path, status, code in (
        (f"{subscription}/providers/Microsoft.ServiceBus?api-version=1999-01-01", 400, "InvalidApiVersionParameter"),
        (f"{subscription}/providers/Microsoft.Nothing?api-version=2025-04-01", 404, "InvalidResourceNamespace"),
        (f"{bus}/namespaces/x?api-version=1999-01-01", 400, "NoRegisteredProviderFound"),
        (f"{bus}/nothings/x?api-version=2024-01-01", 404, "InvalidResourceType"),
        (f"{bus}/namespaces/x/queues/y?api-version=2024-01-01", 404, "ResourceNotFound"),
    ):
        refused = client.arm(path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)


def test_a_refusal_names_action_and_scope(client: Client) -> None:
    sandbox = client.azure.tenant.subscription("Northwind Sandbox")
    sandbox.readable = False
    path = f"/subscriptions/{sandbox.id}/providers/Microsoft.ContainerService/managedClusters"
    refused = client.arm(path + VERSION)
    assert refused.status_code == 403
    message = refused.json()["error"]["message"]
    assert "'Microsoft.ContainerService/managedClusters/read'" in message
    assert f"over scope '/subscriptions/{sandbox.id}'" in message


def test_nothing_can_be_changed(client: Client) -> None:
    cluster = client.azure.tenant.clusters[0]
    refused = client.arm(cluster.id + VERSION, method="DELETE")
    assert refused.status_code == 403
    assert "Microsoft.ContainerService/managedClusters/delete" in refused.text


def test_members_that_are_absent(client: Client) -> None:
    client.azure.tenant.cluster("web-stage").state = "Failed"
    found = {}
    for subscription in client.azure.tenant.subscriptions:
        path = f"/subscriptions/{subscription.id}/providers/Microsoft.ContainerService/managedClusters"
        found |= {item["name"]: item for item in client.arm(path + VERSION).json()["value"]}
    assert "identity" not in found["shop-prod"] and "identityProfile" not in found["shop-prod"]["properties"]
    assert "tags" not in found["shop-dr"]
    assert found["web-stage"]["identity"]["type"] == "SystemAssigned"
    assert "identityProfile" not in found["web-stage"]["properties"]


def test_tags_of_subscriptions(client: Client) -> None:
    found = client.arm("/subscriptions" + VERSION).json()["value"]
    assert [item.get("tags", {}).get("team") for item in found] == [None, "web", None]
    assert "tags" not in found[2] and found[0]["state"] == "Enabled"


def test_the_tenant_is_listed(client: Client) -> None:
    (found,) = client.arm("/tenants" + VERSION).json()["value"]
    assert found["tenantId"] == client.azure.tenant.id
