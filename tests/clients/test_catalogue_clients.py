"""What apps trust and where events go, through the real SDK clients, with what comes in bad shape."""

from __future__ import annotations

import json

import pytest

from shared.access import FederatedIdentityCredential
from shared.clients.aks import cluster
from shared.clients.http import ReadError
from shared.model import EventSubscription
from simulator import Fault, generate, load
from simulator.entities import EventSubscription as Sent
from simulator.entities import FederatedCredential, SystemTopic

from ..conftest import Start, Watch, day

NOW = day("2026-11-01T06:00")
APPS = {"healthy-app", "orphan-app", "healthy-pipeline"}


@pytest.fixture
def catalogue(start: Start) -> Watch:
    watch = start(load("catalogue"), storage=False)
    watch.azure.now = NOW
    return watch


async def trusted(watch: Watch, ids: list[str] | None = None) -> tuple[list[FederatedIdentityCredential], list]:
    async with watch.clients(storage=False) as clients:
        return await clients.entra.list_federated_credentials(ids)


async def test_only_apps_that_trust_something_are_asked(catalogue: Watch) -> None:
    found, unread = await trusted(catalogue)
    assert {one.holder for one in found} == APPS and not unread
    assert all(one.identity_id.startswith("/applications/") and one.app_id for one in found)
    asked = [one.target for one in catalogue.azure.requests if one.host == "graph"]
    # One page that counts, one batch of three.
    assert len([one for one in asked if "%24count" in one or "$count" in one]) == 1
    assert len([one for one in asked if one.endswith("$batch")]) == 1


async def test_hundreds_of_them_are_read_twenty_a_request_page_after_page(catalogue: Watch) -> None:
    tenant = catalogue.azure.tenant
    one = tenant.application("healthy-app")
    for number in range(1100):
        made = type(one)(
            id=f"00000000-0000-4000-8000-{number:012d}",
            app_id=f"00000000-0000-4000-9000-{number:012d}",
            name=f"app {number}",
            created=one.created,
            credentials=[FederatedCredential(name=f"c{n}", issuer="https://x", subject="y") for n in range(20)],
        )
        tenant.applications.append(made)
    before = len(catalogue.azure.requests)
    found, unread = await trusted(catalogue)
    assert len(found) == 1100 * 20 + 3 and not unread
    sent = [r for r in catalogue.azure.requests[before:] if r.host == "graph" and not r.target.count("/federated")]
    # Two pages and 56 batches; the simulator counts the parts of a batch apart.
    assert len([r for r in sent if r.target.endswith("$batch")]) == 56
    assert len([r for r in sent if "federatedIdentityCredentials" in r.target]) == 2


async def test_those_that_are_named_are_asked_by_id_and_one_that_is_gone_is_no_error(catalogue: Watch) -> None:
    app = catalogue.azure.tenant.application("healthy-app")
    gone = "99999999-0000-4000-8000-000000000000"
    found, unread = await trusted(catalogue, [app.id, gone, "'; drop", "../users"])
    assert {one.holder for one in found} == {"healthy-app"} and not unread


async def test_an_app_deleted_between_listing_and_reading_is_no_error(catalogue: Watch) -> None:
    app = catalogue.azure.tenant.application("orphan-app")
    catalogue.azure.add(Fault(path=f"{app.id}/federatedIdentityCredentials", host="graph", status=404))
    found, unread = await trusted(catalogue)
    assert {one.holder for one in found} == APPS - {"orphan-app"} and not unread


@pytest.mark.parametrize("path", ["applications\\?", "federatedIdentityCredentials$"])
async def test_a_refusal_is_unread_with_its_permission(catalogue: Watch, path: str) -> None:
    catalogue.azure.add(Fault(path=path, host="graph", status=403))
    _, unread = await trusted(catalogue)
    assert {one.kind for one in unread} == {FederatedIdentityCredential}
    assert {one.permission for one in unread} == {"Application.Read.All (Microsoft Graph, application permission)"}


async def test_a_credential_of_another_shape_is_unread_and_the_others_are_read(catalogue: Watch) -> None:
    app = catalogue.azure.tenant.application("healthy-app")
    app.credentials[0].audiences = [7, None]  # type: ignore[list-item]
    found, unread = await trusted(catalogue)
    assert {one.holder for one in found} == APPS - {"healthy-app"}
    assert [one.kind for one in unread] == [FederatedIdentityCredential]


async def test_a_flexible_credential_has_no_subject(catalogue: Watch) -> None:
    app = catalogue.azure.tenant.application("healthy-app")
    app.credentials = [FederatedCredential(name="any", issuer="https://x", expression="claims['sub'] matches '*'")]
    found, unread = await trusted(catalogue)
    assert [one.subject for one in found if one.holder == "healthy-app"] == [""] and not unread


async def wires(watch: Watch, name: str = "Wired") -> list[EventSubscription]:
    async with watch.clients(storage=False) as clients:
        return await clients.wiring.list_event_subscriptions(watch.azure.tenant.subscription(name).id)


async def test_the_function_behind_a_system_topic_is_read(catalogue: Watch) -> None:
    (one,) = await wires(catalogue)
    assert one.function_id.endswith("/sites/fusewatch/functions/on_role_change") and one.state == "Succeeded"
    assert await wires(catalogue, "Empty") == []


async def test_topics_of_other_sources_are_not_asked(catalogue: Watch) -> None:
    subscription = catalogue.azure.tenant.subscription("Empty").id
    other = SystemTopic(
        subscription_id=subscription, group="rg-empty", name="vault", topic_type="Microsoft.KeyVault.vaults"
    )
    other.subscriptions = [Sent(name="x", function_id="y")]
    catalogue.azure.tenant.topics.append(other)
    assert await wires(catalogue, "Empty") == []


async def test_a_topic_deleted_between_listing_and_reading_is_no_error(catalogue: Watch) -> None:
    catalogue.azure.add(Fault(path="eventSubscriptions", host="arm", status=404))
    assert await wires(catalogue) == []


@pytest.mark.parametrize("path", ["systemTopics\\?", "eventSubscriptions"])
async def test_refused_wiring_is_unread(catalogue: Watch, path: str) -> None:
    catalogue.azure.add(Fault(path=path, host="arm", status=403))
    with pytest.raises(ReadError) as caught:
        await wires(catalogue)
    assert caught.value.unread.kind is EventSubscription and "EventGrid" in caught.value.unread.permission


async def test_a_tenant_without_any_cluster_is_read_without_a_word(start: Start) -> None:
    watch = start(generate(applications=50, subscriptions=3, clusters=0), storage=False)
    subscription = watch.azure.tenant.subscriptions[0].id
    watch.env["FUNCTION_APP_ID"] = f"/subscriptions/{subscription}/resourceGroups/y/providers/Microsoft.Web/sites/z"
    report = await watch.scan(watch.azure.now, storage=False)
    assert not report.snapshot.unread and report.findings == ()
    assert not [one for one in watch.azure.requests if "EventGrid" in one.target]


async def test_identities_deleted_while_they_are_read_are_no_error(catalogue: Watch) -> None:
    catalogue.azure.add(Fault(path="userAssignedIdentities/orphan/federated", host="arm", status=404))
    report = await catalogue.scan(NOW, storage=False)
    assert not report.snapshot.unread
    assert not any(one.resource_name == "orphan" for one in report.findings)


HOSTILE = "".join(["<at>X</at>'\"; $(rm -rf /) `id` [a](b) \r\n\t\u202e\0 =cmd()|{x} %00 ", "🚀" * 20]) * 4


async def test_256_hostile_characters_in_every_tag_and_name_change_no_finding(catalogue: Watch) -> None:
    before = sorted((one.rule, one.resource_id) for one in (await catalogue.scan(NOW, storage=False)).findings)
    tenant = catalogue.azure.tenant
    for one in (*tenant.clusters, *tenant.groups, *tenant.subscriptions):
        one.tags = {HOSTILE[:256]: HOSTILE[:256], "owner": HOSTILE[:256], "team": HOSTILE[:256]}
    for identity in tenant.identities:
        for credential in identity.credentials:
            credential.subject = credential.subject and credential.subject + HOSTILE[:64]
    report = await catalogue.scan(NOW, storage=False)
    found = sorted((one.rule, one.resource_id) for one in report.findings if "subject" not in one.rule)
    assert found == [one for one in before if "subject" not in one[0]] and not report.snapshot.unread


@pytest.mark.parametrize(
    "properties",
    [
        None,
        {},
        {"oidcIssuerProfile": None, "securityProfile": None, "podIdentityProfile": None, "identityProfile": None},
        {"oidcIssuerProfile": {}, "securityProfile": {"workloadIdentity": None}, "agentPoolProfiles": None},
        {"oidcIssuerProfile": {"enabled": True}, "agentPoolProfiles": [{"name": "a", "nodeImageVersion": None}]},
    ],
)
def test_a_cluster_without_identity_issuer_or_profile_is_a_cluster(properties: dict | None) -> None:
    wire = {"id": "/subscriptions/s/resourceGroups/g/providers/x/y/z", "name": "z", "properties": properties}
    one = cluster(json.loads(json.dumps(wire)))
    assert (one.oidc_issuer, one.idle_issuer, one.workload_identity, one.pod_identity) == ("", "", False, False)


def test_an_issuer_that_is_switched_off_is_kept_apart() -> None:
    profile = {"oidcIssuerProfile": {"enabled": False, "issuerURL": "https://x/"}}
    one = cluster({"id": "/subscriptions/s/resourceGroups/g/p/x/y/z", "name": "z", "properties": profile})
    assert (one.oidc_issuer, one.idle_issuer) == ("", "https://x/")
