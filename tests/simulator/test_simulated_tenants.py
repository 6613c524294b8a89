"""Tenant files and generated tenants."""

from __future__ import annotations

import gzip
import json
import re
import time
import tomllib
from datetime import UTC, datetime, timedelta

import pytest

from simulator import Certificate, Secret, Simulator, generate, load, parse
from simulator.story import TENANTS

from .clients import Client, Connect, Start


@pytest.mark.parametrize("name", ["retailer", "hostile", "catalogue"])
def test_a_tenant_file_loads_the_same_every_time(name: str) -> None:
    assert [one.app_id for one in load(name).applications] == [one.app_id for one in load(name).applications]
    assert load(TENANTS / f"{name}.toml").id == load(name).id
    assert load(name).expected[0].at == load(name).starts


def test_the_retailer_s_cluster_lives_on_a_secret_two_years_old() -> None:
    tenant = load("retailer")
    app = tenant.application("aks-shop-prod")
    assert tenant.cluster("shop-prod").client_id == app.app_id
    end = app.secrets[0].end
    assert end is not None and (end - app.secrets[0].start).days == 730 and f"{end:%A}" == "Saturday"


def test_the_story_happens_step_by_step() -> None:
    tenant = load("retailer")
    erp = tenant.application("erp-sync")
    assert tenant.advance(tenant.starts) == []
    told = tenant.advance(datetime(2026, 5, 25, tzinfo=UTC))
    assert [str(step) for step in told] == [
        "Nobody misses price-feed: the platform team deletes it",
        "Tomas Berg adds a new secret to erp-sync",
    ]
    assert [secret.name for secret in erp.secrets] == ["erp 2025", "erp 2026"]
    assert erp.secrets[1].start == told[1].at
    assert tenant.advance(datetime(2026, 5, 25, tzinfo=UTC)) == []
    tenant.advance(datetime(2026, 6, 30, tzinfo=UTC))
    assert [secret.name for secret in erp.secrets] == ["erp 2026"]
    workday = tenant.service_principal("workday-sso")
    assert {one.end for one in workday.certificates} == {datetime(2029, 6, 29, tzinfo=UTC)}
    assert [one.usage for one in workday.certificates] == ["Sign", "Verify"]
    assert [one.key_id for one in workday.secrets] == [workday.certificates[0].key_id]
    tenant.advance(datetime(2026, 9, 23, tzinfo=UTC))
    cluster = tenant.cluster("shop-prod")
    assert cluster.client_id == "msi" and tenant.service_principals.find(cluster.principal_id)
    tenant.advance(datetime(2027, 1, 1, tzinfo=UTC))
    assert [one.entity.name for one in tenant.deleted] == ["price-feed"] * 2 + ["aks-shop-prod"] * 2
    assert not tenant.steps


def test_the_pause_hides_two_reminders_of_the_cluster() -> None:
    tenant = load("retailer")
    (pause,) = tenant.pauses
    end = tenant.application("aks-shop-prod").secrets[0].end
    assert end is not None
    missed = [days for days in (60, 30, 14, 7, 3, 1) if pause.start < end - timedelta(days=days) <= pause.end]
    assert missed == [14, 7]


def test_expected_findings_name_what_exists() -> None:
    tenant = load("retailer")
    first = tenant.expected[0].findings[0]
    assert first.resource_id == f"/applications/{tenant.application('price-feed').id}" and first.key == "feed"
    for expected in (*tenant.expected, *load("hostile").expected):
        assert len(set(expected.findings)) == len(expected.findings)
    nameless = [one for one in load("hostile").expected[0].findings if not one.key]
    assert any(one.resource == load("hostile").application("nameless").app_id for one in nameless)


def test_hostile_names() -> None:
    names = [one.name for one in load("hostile").applications]
    assert names.count("twin") == 2 and None in names
    assert any(name and "\n" in name for name in names) and any(name and "\u202e" in name for name in names)
    assert max(len(name or "") for name in names) == 256


def test_hostile_names_survive_the_wire(start: Start, connect: Connect) -> None:
    client = connect(start(load("hostile")))
    found = client.graph("/v1.0/applications").json()["value"]
    assert [item["displayName"] for item in found] == [one.name for one in client.azure.tenant.applications]


def test_a_broken_reference_is_an_error() -> None:
    table = tomllib.loads((TENANTS / "retailer.toml").read_text(encoding="utf-8"))
    table["expected"][0]["findings"][0]["resource"] = "no such app"
    with pytest.raises(KeyError):
        parse(table)


def listed(client: Client, path: str = "/v1.0/applications?$top=999") -> list[dict[str, object]]:
    found, link = [], path
    while link:
        page = client.graph(link).json()
        found += page["value"]
        link = page.get("@odata.nextLink", "")
    return found


def test_expiring_secrets_stand_where_they_were_asked_for(start: Start, connect: Connect) -> None:
    client = connect(start(generate(applications=20_000, expiring=[101, 1000, 20_000])))
    now = client.azure.now
    near = [
        place
        for place, item in enumerate(listed(client), 1)
        for one in (*item["passwordCredentials"], *item["keyCredentials"])  # type: ignore[misc]
        if datetime.fromisoformat(one["endDateTime"]) <= now + timedelta(days=60)
    ]
    assert near == [101, 1000, 20_000]
    assert all(start <= datetime.fromisoformat("2026-11-01T06:00:00Z") for start in [now])


def test_a_generated_tenant_is_the_same_every_time() -> None:
    one, other = (generate(applications=50, service_principals=20, clusters=4, seed=3, expiring=5) for _ in range(2))
    assert list(one.applications) == list(other.applications) and one.clusters == other.clusters
    assert len({item.id for item in one.applications} | {item.app_id for item in one.applications}) == 100
    assert list(generate(applications=5, seed=4).applications) != list(generate(applications=5, seed=5).applications)


def test_rows_from_templates_equal_whole_rendering(start: Start, connect: Connect) -> None:
    """A member of the crowd that somebody looked up is rendered in the ordinary way: nothing may differ."""
    client = connect(start(generate(applications=60, service_principals=60)))
    for kind in ("applications", "servicePrincipals"):
        for select in ("", "&$select=id,displayName,passwordCredentials,keyCredentials"):
            fast = listed(client, f"/v1.0/{kind}?$top=60{select}")
            one_by_one = [client.graph(f"/v1.0/{kind}/{item['id']}?{select[1:]}").json() for item in fast]
            for item, alone in zip(fast, one_by_one, strict=True):
                alone.pop("@odata.context")
                _without_key_ids_of_platform(item, alone)
                assert item == alone


def _without_key_ids_of_platform(*items: dict[str, object]) -> None:
    # Platform certificates of generated identities share their key ids, since these come from a template.
    for item in items:
        if str(item["displayName"]).startswith("identity-"):
            for one in item["keyCredentials"]:  # type: ignore[attr-defined]
                one.update(keyId="", key="", customKeyIdentifier="", displayName="")


def test_generated_objects_can_be_changed_and_removed(start: Start, connect: Connect) -> None:
    client = connect(start(generate(applications=250, clusters=2, on_service_principals=1)))
    tenant = client.azure.tenant
    before = listed(client)
    app = tenant.application(tenant.clusters[0].client_id)
    moment = datetime(2026, 11, 5, tzinfo=UTC)
    app.secrets = [Secret(key_id="k", start=moment, end=moment, name="by hand")]
    app.certificates = [Certificate(key_id="c", start=moment, end=moment)]
    tenant.applications.remove(tenant.application(str(before[7]["id"])))
    after = listed(client)
    assert len(before) == 250 and len(after) == 249 == len(tenant.applications)
    assert after[0]["passwordCredentials"][0]["displayName"] == "by hand"  # type: ignore[index]
    assert before[7]["id"] not in [item["id"] for item in after]
    assert client.graph(f"/v1.0/applications/{before[7]['id']}").status_code == 404


def test_200_000_applications_cost_little(start: Start, connect: Connect) -> None:
    begun = time.process_time()
    azure = start(generate(applications=200_000, expiring=5, clusters=10, subscriptions=3))
    assert time.process_time() - begun < 1
    assert sum(cluster.client_id == "msi" for cluster in azure.tenant.clusters) == 10
    client = connect(azure)
    token = client.token("https://graph.microsoft.com")
    url = azure.origins["graph"] + "/v1.0/applications?$top=999"
    sizes, took = [], []
    for _ in range(5):
        begun = time.perf_counter()
        with client.http.stream("GET", url, headers={"Authorization": f"Bearer {token}"}) as answer:
            body = b"".join(answer.iter_raw())
        took.append(time.perf_counter() - begun)
        sizes.append(len(body))
    assert len(json.loads(gzip.decompress(body))["value"]) == 999
    assert sizes[0] < 200_000
    assert min(took[1:]) < 0.02, took  # about a millisecond; the rest is room for a busy machine


def test_recorded_bodies_are_served_byte_for_byte(azure: Simulator, client: Client) -> None:
    path = "/subscriptions/subscription-id/providers/Microsoft.ContainerService/managedClusters"
    link = f"https://management.azure.com{path}?%24skipToken=80&api-version=2024-01-01&skipToken=80"
    first = json.dumps({"value": [{"name": "é"}], "nextLink": link}, indent=3, ensure_ascii=False).encode()
    azure.record(path, first, b'{ "value":[] }')
    assert client.arm(path + "?api-version=2026-08-01").content == first
    follow = link.replace("https://management.azure.com", azure.origins["arm"])
    assert client.arm(follow).content == b'{ "value":[] }'
    assert client.arm(path + "?api-version=1", headers={"Authorization": ""}).status_code == 401
    azure.record(path, first, b'{"value":[]}', rewrite=True)
    moved = client.arm(path.upper() + "?api-version=2026-08-01")
    assert moved.content == first.replace(b"https://management.azure.com", azure.origins["arm"].encode())
    assert client.arm(moved.json()["nextLink"]).content == b'{"value":[]}'


def test_recorded_graph_listing(azure: Simulator, client: Client) -> None:
    azure.record("/v1.0/applications", b'{"value":[{"id":"1"}]}')
    assert client.graph("/v1.0/applications?$top=999").content == b'{"value":[{"id":"1"}]}'
    assert len(client.graph("/v1.0/servicePrincipals").json()["value"]) == 14


def test_no_tenant_file_names_an_id_or_a_secret() -> None:
    for file in TENANTS.glob("*.toml"):
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", file.read_text(encoding="utf-8"))
