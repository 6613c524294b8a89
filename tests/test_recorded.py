"""Real answers of Graph and ARM, recorded by others, served byte for byte: what they hold is found, no more."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from simulator import Post, generate
from simulator.azurite import Azurite

from .conftest import Start, Watch, day

SAMPLES = Path(__file__).parent.parent.parent / "shared" / "samples"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded samples are not beside the repository")


def told(watch: Watch) -> list[Post]:
    """The cards that tell of findings; the weekly one does not."""
    return [post for post in watch.azure.cards() if "Weekly" not in json.dumps(post.body)]


async def test_the_recorded_tenant_has_three_ending_secrets_and_forgets_them_silently(
    start: Start, azurite: Azurite
) -> None:
    now = day("2024-11-01")
    watch = start(generate(applications=0, service_principals=0, subscriptions=1, clusters=0, seed=1, now=now))
    sample = {path.name: path.read_bytes() for path in SAMPLES.glob("*.json")}
    subscription = watch.azure.tenant.subscriptions[0].id
    watch.azure.record("/v1.0/applications", sample["graph-applications-list-with-password-credentials.json"])
    watch.azure.record(
        "/v1.0/servicePrincipals", sample["graph-serviceprincipals-managed-identities-with-platform-certs.json"]
    )
    watch.azure.record(
        f"/subscriptions/{subscription}/providers/Microsoft.ContainerService/managedClusters",
        sample["arm-aks-managedclusters-list-msi-page1.json"],
        sample["arm-aks-managedclusters-list-empty-last-page.json"],
        rewrite=True,
    )

    # The identities that the recorded clusters show exist, and the listing was never recorded.
    for item in json.loads(sample["arm-aks-managedclusters-list-msi-page1.json"])["value"]:
        for given in item["properties"].get("identityProfile", {}).values():
            watch.azure.record(
                given["resourceId"],
                json.dumps(
                    {
                        "id": given["resourceId"],
                        "name": given["resourceId"].rsplit("/", 1)[-1],
                        "properties": {"clientId": given["clientId"], "principalId": given["objectId"]},
                    }
                ).encode(),
            )

    report = await watch.run(now)
    assert not report.snapshot.unread
    assert report.snapshot.counts["clusters"] == 7
    assert report.snapshot.counts["service_principals"] == 12
    assert {one.rule for one in report.findings} <= {"entra_credential_expiry", "entra_application_without_owner"}
    ending = [one for one in report.findings if one.rule == "entra_credential_expiry"]
    assert sorted(str(one.facts["key_id"])[:8] for one in ending) == ["0e6a83a5", "9a62c4b2", "e1e380dc"]
    assert len(told(watch)) == 1

    later = day("2026-11-23")
    report = await watch.run(later)
    assert not report.findings
    assert len(told(watch)) == 1
    statuses = [row["status"] for row in azurite.rows("findings") if row.get("rule") == "entra_credential_expiry"]
    assert statuses == ["aged-out"] * 3
    await watch.run(later + timedelta(hours=6))
    assert len(told(watch)) == 1
