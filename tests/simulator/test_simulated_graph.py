"""Graph's listings, permissions, recycle bin and batches, as its documentation has them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from simulator import Application, Fault, Simulator

from .clients import Client

EVENTUAL = {"ConsistencyLevel": "eventual"}


def pages(client: Client, path: str, **options: Any) -> list[dict[str, Any]]:
    found, link = [], path
    while link:
        answer = client.graph(link, **options)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        link = found[-1].get("@odata.nextLink", "")
    return found


def test_a_page_holds_100_or_up_to_999(client: Client) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(1200):
        client.azure.tenant.applications.append(
            Application(id=f"i{number}", app_id=f"a{number}", name=None, created=moment)
        )
    assert len(client.graph("/v1.0/applications").json()["value"]) == 100
    assert [len(page["value"]) for page in pages(client, "/v1.0/applications?$top=999")] == [999, 211]
    for top in ("0", "1000", "many"):
        refused = client.graph(f"/v1.0/applications?$top={top}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "Request_UnsupportedQuery")


def test_whole_objects_carry_their_empty_members(client: Client) -> None:
    first = client.graph("/v1.0/applications").json()["value"][0]
    assert first["tokenEncryptionKeyId"] is None and first["web"]["redirectUris"] == []
    assert first["passwordCredentials"][0]["secretText"] is None
    assert first["passwordCredentials"][0]["endDateTime"] == "2026-09-19T00:00:00Z"


def test_times_have_fractions_only_where_there_are_any(client: Client) -> None:
    found = client.graph("/v1.0/applications?$filter=displayName eq 'gift-cards'").json()["value"]
    assert found[0]["passwordCredentials"][0]["endDateTime"] == "2026-10-05T14:55:22.344Z"
    assert found[0]["passwordCredentials"][0]["displayName"] is None


def test_the_next_link_keeps_the_options(client: Client) -> None:
    found = pages(client, "/v1.0/applications?$top=4&$select=id,displayName&$count=true", headers=EVENTUAL)
    assert [page.get("@odata.count") for page in found] == [10, None, None]
    assert all(set(item) == {"id", "displayName"} for page in found for item in page["value"])
    assert "$top=4&$select=id,displayName&$count=true&$skiptoken=" in found[0]["@odata.nextLink"]


def test_a_count_needs_the_header_on_every_page(client: Client) -> None:
    assert client.graph("/v1.0/applications?$count=true").status_code == 400
    first = client.graph("/v1.0/applications?$top=4&$count=true", headers=EVENTUAL).json()
    assert client.graph(first["@odata.nextLink"]).status_code == 400


def test_a_made_up_token_is_refused(client: Client) -> None:
    assert client.graph("/v1.0/applications?$skiptoken=RFNwdAoAAQ").status_code == 400


def test_keys_come_only_where_select_names_them(client: Client) -> None:
    def keys(path: str) -> list[str | None]:
        found = client.graph(path).json()["value"]
        return [one["key"] for item in found for one in item["keyCredentials"]]

    assert keys("/v1.0/applications") == [None]
    (blob,) = keys("/v1.0/applications?$select=id,keyCredentials")
    assert blob and len(blob) > 1000


def test_listings_that_name_key_credentials_are_throttled(client: Client) -> None:
    client.azure.certificates_a_minute = 2
    path = "/v1.0/applications?$select=id,keyCredentials"
    assert [client.graph(path).status_code for _ in range(3)] == [200, 200, 429]
    assert client.graph(path).headers["retry-after"] == "60"
    assert client.graph("/v1.0/applications").status_code == 200


@pytest.mark.parametrize(
    ("clause", "names"),
    [
        ("appId eq '{erp}'", ["erp-sync"]),
        ("id eq '{erp}'", []),
        ("appId in ('{erp}','{dr}')", ["aks-shop-dr", "erp-sync"]),
        ("appId eq '{dr}' or displayName eq 'erp-sync'", ["aks-shop-dr", "erp-sync"]),
        ("displayName eq 'erp-sync' and appId eq '{dr}'", []),
        ("displayName eq 'o''clock'", []),
    ],
)
def test_filters(client: Client, clause: str, names: list[str]) -> None:
    tenant = client.azure.tenant
    text = clause.format(erp=tenant.application("erp-sync").app_id, dr=tenant.application("aks-shop-dr").app_id)
    found = client.graph("/v1.0/applications", params={"$filter": text}).json()["value"]
    assert [item["displayName"] for item in found] == names


@pytest.mark.parametrize(
    "clause", ["displayName eq 'a' or 1 eq 1", "displayName eq 'erp-sync' or", "endDateTime lt 2026-01-01", "x eq 'y'"]
)
def test_filters_that_graph_has_not(client: Client, clause: str) -> None:
    assert client.graph("/v1.0/applications", params={"$filter": clause}).status_code == 400


def test_an_object_by_id_or_app_id(client: Client) -> None:
    app = client.azure.tenant.application("erp-sync")
    assert client.graph(f"/v1.0/applications/{app.id}").json()["appId"] == app.app_id
    assert client.graph(f"/v1.0/applications(appId='{app.app_id}')?$select=id").json()["id"] == app.id
    principal = client.graph(f"/v1.0/servicePrincipals(appId='{app.app_id}')").json()
    assert principal["appOwnerOrganizationId"] == client.azure.tenant.id
    for wrong in (f"/v1.0/applications/{app.app_id}", f"/v1.0/applications(appId='{app.id}')"):
        refused = client.graph(wrong)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "Request_ResourceNotFound")


def test_the_token_must_be_for_graph(client: Client) -> None:
    for token in ("", f"Bearer {client.token('https://management.azure.com')}", "Bearer nonsense", "Bearer a.b.c"):
        refused = client.graph("/v1.0/applications", headers={"Authorization": token})
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert client.graph("/v1.0/applications").headers["request-id"]


def test_owners_have_no_names_without_the_permission(client: Client) -> None:
    app = client.azure.tenant.application("gift-cards")
    path = f"/v1.0/applications/{app.id}/owners"
    assert [one["displayName"] for one in client.graph(path).json()["value"]] == ["Tomas Berg", "Aiko Mori"]
    client.azure.tenant.permissions.discard("User.ReadBasic.All")
    (first, _) = client.graph(path).json()["value"]
    assert first["id"] == app.owners[0] and first["@odata.type"] == "#microsoft.graph.user"
    assert first["displayName"] is None and first["userPrincipalName"] is None


def test_reading_needs_the_permission(client: Client) -> None:
    client.azure.tenant.permissions.discard("Application.Read.All")
    app = client.azure.tenant.application("gift-cards")
    for path in ("applications", "servicePrincipals", f"applications/{app.id}", f"applications/{app.id}/owners"):
        refused = client.graph(f"/v1.0/{path}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "Authorization_RequestDenied")
    assert client.graph("/v1.0/organization").status_code == 403
    client.azure.tenant.permissions.add("Organization.Read.All")
    assert client.graph("/v1.0/organization").json()["value"][0]["id"] == client.azure.tenant.id


def test_deleted_objects_are_in_the_recycle_bin(client: Client) -> None:
    tenant = client.azure.tenant
    app = tenant.application("erp-sync")
    tenant.delete(app, datetime(2026, 3, 4, 5, tzinfo=UTC))
    assert client.graph(f"/v1.0/applications/{app.id}").status_code == 404
    for kind in ("application", "servicePrincipal"):
        path = f"/v1.0/directory/deletedItems/microsoft.graph.{kind}"
        (found,) = client.graph(path, params={"$filter": f"appId eq '{app.app_id}'"}).json()["value"]
        assert found["deletedDateTime"] == "2026-03-04T05:00:00Z"
    for name in ("gift-cards", "old-tills"):
        tenant.delete(tenant.application(name), datetime(2026, 3, 5, tzinfo=UTC))
    found = pages(client, "/v1.0/directory/deletedItems/microsoft.graph.application?$top=2")
    assert [len(page["value"]) for page in found] == [2, 1]


def batch(client: Client, *urls: str) -> dict[str, Any]:
    requests = [{"id": str(number), "method": "GET", "url": url} for number, url in enumerate(urls)]
    answer = client.graph("/v1.0/$batch", method="POST", json={"requests": requests})
    assert answer.status_code == 200, answer.text
    return {one["id"]: one for one in answer.json()["responses"]}


def test_each_request_of_a_batch_is_answered_on_its_own(client: Client) -> None:
    app = client.azure.tenant.application("erp-sync")
    client.azure.add(Fault(path=r"/owners", status=429, retry_after=7, times=1))
    found = batch(client, f"/applications/{app.id}/owners", f"/applications/{app.id}/owners", "/applications/0000")
    assert found["0"]["status"] == 429 and found["0"]["headers"]["Retry-After"] == "7"
    assert found["1"]["status"] == 200 and found["1"]["body"]["value"][0]["displayName"] == "Tomas Berg"
    assert found["2"]["status"] == 400


def test_a_batch_holds_20_requests(client: Client) -> None:
    assert len(batch(client, *["/applications"] * 20)) == 20
    requests = [{"id": str(number), "method": "GET", "url": "/applications"} for number in range(21)]
    assert client.graph("/v1.0/$batch", method="POST", json={"requests": requests}).status_code == 400


def test_platform_certificates_of_managed_identities_rotate(client: Client) -> None:
    for month in (3, 6, 9, 12):
        client.azure.now = datetime(2026, month, 1, tzinfo=UTC)
        found = client.graph("/v1.0/servicePrincipals?$filter=servicePrincipalType eq 'ManagedIdentity'").json()
        for one in (one for item in found["value"] for one in item["keyCredentials"]):
            assert 0 <= (datetime.fromisoformat(one["endDateTime"]) - client.azure.now).days <= 90
        assert all(len(item["keyCredentials"]) == 2 for item in found["value"])


def test_what_changes_between_scans_is_seen(azure: Simulator, client: Client) -> None:
    azure.tenant.application("erp-sync").name = "renamed"
    azure.tenant.applications.remove(azure.tenant.application("newsletter"))
    names = [item["displayName"] for item in client.graph("/v1.0/applications").json()["value"]]
    assert "renamed" in names and "newsletter" not in names
