"""Real answers of Graph and ARM, recorded by others, served byte for byte: what they hold is found, no more."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from simulator import generate
from simulator.azurite import Azurite

from .conftest import Start, day

SAMPLES = Path(__file__).parent.parent.parent / "shared" / "samples"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded samples are not beside the repository")


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

    report = await watch.run(now)
    assert not report.snapshot.unread
    assert report.snapshot.counts["clusters"] == 7
    assert report.snapshot.counts["service_principals"] == 12
    assert {one.rule for one in report.findings} == {"entra_credential_expiry"}
    assert sorted(str(one.facts["key_id"])[:8] for one in report.findings) == ["0e6a83a5", "9a62c4b2", "e1e380dc"]
    assert len(watch.azure.cards()) == 1

    later = day("2026-11-23")
    report = await watch.run(later)
    assert not report.findings
    assert len(watch.azure.cards()) == 1
    statuses = [row["status"] for row in azurite.rows("findings") if row["RowKey"].startswith("f-")]
    assert statuses == ["aged-out"] * 3
    await watch.run(later + timedelta(hours=6))
    assert len(watch.azure.cards()) == 1
