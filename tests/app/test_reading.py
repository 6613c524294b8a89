"""What a scan asks for besides the listings, so that nothing is called resolved that nobody looked at."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from simulator import Fault, generate
from simulator.entities import FederatedCredential, UserAssignedIdentity, derived

from ..conftest import Azurite, Start, Watch, day

MORNING = day("2026-09-13T06:00")


def statuses(azurite: Azurite) -> dict[str, str]:
    return {row["title"]: row["status"] for row in azurite.rows("findings") if row["RowKey"].startswith("f-")}


async def test_an_application_missing_from_a_listing_is_asked_for_before_its_finding_is_resolved(
    start: Start, azurite: Azurite
) -> None:
    watch = start(generate(applications=3, expiring=(2,)))
    now = watch.azure.now
    await watch.run(now)
    (before,) = statuses(azurite)
    empty = json.dumps({"value": []}).encode()
    # Graph's replicas lag behind each other: a listing may lack what a GET finds.
    watch.azure.add(Fault(path=r"/v1\.0/applications\?", host="graph", body=empty))
    await watch.run(now + timedelta(hours=6))
    assert statuses(azurite) == {before: "open"}
    assert len(watch.azure.cards()) == 1
    watch.azure.clear()
    (gone,) = (one for one in watch.azure.tenant.applications if one.name == "app-000002")
    watch.azure.tenant.delete(gone, now)
    await watch.run(now + timedelta(hours=12))
    assert statuses(azurite) == {before: "resolved"}


async def test_a_subscription_that_is_no_longer_named_is_unread_and_not_resolved(
    watch: Watch, azurite: Azurite
) -> None:
    watch.advance(MORNING)
    await watch.run(MORNING)
    assert "open" in set(statuses(azurite).values())
    before = statuses(azurite)
    other = watch.azure.tenant.subscription("Northwind Staging").id
    watch.env["SUBSCRIPTIONS"] = other
    report = await watch.run(MORNING + timedelta(hours=6))
    after = statuses(azurite)
    assert "resolved" not in after.values()
    assert before.items() <= after.items()
    assert {one.reason for one in report.snapshot.unread} == {"read before, and no longer named in SUBSCRIPTIONS"}
    production = watch.azure.tenant.subscription("Northwind Production")
    watch.azure.tenant.subscriptions.remove(production)
    await watch.run(MORNING + timedelta(hours=12))
    clusters = {title: status for title, status in statuses(azurite).items() if "shop-prod loses" in title}
    assert set(clusters.values()) == {"resolved"}


async def test_a_scan_of_a_far_future_is_not_the_last_one(watch: Watch, azurite: Azurite) -> None:
    watch.advance(MORNING)
    # Somebody's clock was wrong, or somebody asked what 2031 would bring.
    watch.azure.add(Fault(path="managedClusters", host="arm", status=503))
    await watch.scan(day("2031-01-01T06:00"))
    watch.azure.clear()
    await watch.run(MORNING)
    card = json.dumps([post.body for post in watch.azure.cards("shop")])
    assert "Scan of 2026-09-13" in card
    assert "2031" not in card
    assert "NOT read" not in card


@pytest.mark.parametrize("refused", [("alpha",), ("alpha", "beta")])
async def test_what_two_identities_of_a_subscription_trust_is_unread_for_both(
    watch: Watch, azurite: Azurite, refused: tuple[str, ...]
) -> None:
    _strangers(watch)
    await watch.run(MORNING)
    assert _issuers(azurite) == {"alpha": "open", "beta": "open"}
    for name in refused:
        path = f"userAssignedIdentities/{name}/federatedIdentityCredentials"
        watch.azure.add(Fault(path=path, host="arm", status=403))
    await watch.run(MORNING + timedelta(hours=6))
    assert _issuers(azurite) == {"alpha": "open", "beta": "open"}


@pytest.mark.parametrize(("refused", "failing"), [("alpha", "beta"), ("beta", "alpha")])
async def test_a_refusal_is_told_whatever_else_of_its_subscription_fails(
    watch: Watch, azurite: Azurite, refused: str, failing: str
) -> None:
    _strangers(watch)
    for name, status in ((refused, 403), (failing, 503)):
        path = f"userAssignedIdentities/{name}/federatedIdentityCredentials"
        watch.azure.add(Fault(path=path, host="arm", status=status))
    await watch.run(MORNING)
    assert [row["status"] for row in azurite.rows("findings") if row.get("rule") == "scan_scope_unreadable"] == ["open"]


def _strangers(watch: Watch) -> None:
    """Two identities of one subscription that trust an AKS issuer which no cluster has."""
    watch.advance(MORNING)
    tenant = watch.azure.tenant
    issuer = f"https://westeurope.oic.prod-aks.azure.com/{tenant.id}/22222222-2222-2222-2222-222222222222/"
    tenant.identities += [
        UserAssignedIdentity(
            subscription_id=tenant.subscription("Northwind Production").id,
            group="rg-shop-prod",
            name=name,
            client_id=derived(tenant.id, "client", name),
            principal_id=derived(tenant.id, "principal", name),
            credentials=[FederatedCredential(name="fc", issuer=issuer, subject="system:serviceaccount:a:b")],
        )
        for name in ("alpha", "beta")
    ]


def _issuers(azurite: Azurite) -> dict[str, str]:
    rows = [row for row in azurite.rows("findings") if row.get("rule") == "workload_identity_issuer_unknown"]
    return {row["resource_name"]: row["status"] for row in rows}
