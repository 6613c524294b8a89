"""Real answers of Graph and ARM, recorded by others, served byte for byte: what they hold is found, no more."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.mgmt.authorization.v2022_04_01.models import RoleAssignment as Assigned
from azure.mgmt.authorization.v2022_04_01.models import RoleDefinition as Defined
from azure.mgmt.msi.v2024_11_30.models import FederatedIdentityCredential as Trusted

from shared import former
from shared.access import Access, Membership
from shared.clients import graph_pages
from shared.clients.aks import cluster
from shared.clients.identities import federated_credential
from shared.clients.rbac import role_assignment, role_definition
from shared.findings import evaluate
from shared.model import Application, Snapshot
from shared.rules import RULES
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


def recorded(name: str) -> list[Any]:
    found: list[Any] = json.loads((SAMPLES / name).read_text(encoding="utf-8"))["value"]
    return found


def test_all_that_was_recorded_yields_what_can_be_explained_through_all_rules() -> None:
    clusters = tuple(cluster(one) for one in recorded("arm-aks-managedclusters-list-msi-page1.json"))
    raw = [Assigned.deserialize(one) for one in recorded("arm-role-assignments-list-subscription.json")]
    roles = [Defined.deserialize(one) for one in recorded("arm-role-definitions-selected-builtins.json")]
    trusts = [
        federated_credential(Trusted.deserialize(one), "/subscriptions/s/resourceGroups/g/providers/p/t/identity")
        for one in recorded("arm-federated-identity-credentials-list-incl-flexible.spec-example.json")
    ]
    app = Application(object_id="bcd7c908-1c4d-4d48-93ee-ff38349a75c8", app_id="app", name="recorded")
    trusts += [
        graph_pages.federated_credential(one, app)
        for one in recorded("graph-application-federated-identity-credentials-list.docs-sample.json")
    ]
    access = Access(
        assignments=tuple(role_assignment(one, "subscription-id") for one in raw),
        listed=frozenset({"subscription-id"}),
        definitions=tuple(role_definition(one) for one in roles),
        memberships=tuple(
            Membership(principal_id=holder)
            for one in clusters
            for holder in (one.principal_id, one.kubelet.principal_id if one.kubelet else "")
            if holder
        ),
        identities=tuple(one.kubelet for one in clusters if one.kubelet),
        federated=tuple(trusts),
    )
    snapshot = Snapshot(taken=day("2024-11-01"), tenant_id="tenant", clusters=clusters, access=access)
    snapshot = replace(snapshot, former=former.all_seen(snapshot, {}))
    seen = evaluate(snapshot, RULES)
    found = Counter((one.rule, one.severity.label, one.variant) for one in seen.findings)
    assert found == {
        # The two credentials of ARM's example trust an AKS issuer that none of the clusters has, flexible or not; the
        # app's trusts Entra itself.
        ("workload_identity_issuer_unknown", "warning", ""): 2,
        # Clusters and assignments were recorded in different tenants, both under the name `subscription-id`: no
        # assignment is any cluster's, so none is seen to hold its node group, or the one subnet that was brought along.
        ("aks_cluster_cannot_manage_node_group", "warning", "never"): 7,
        ("aks_cluster_cannot_join_subnet", "warning", "never"): 1,
    }
    images = [pool.image for one in clusters for pool in one.pools]
    assert len(images) == 8 and all(one.startswith("AKSUbuntu-2204gen2containerd-2024") for one in images)

    # A day later, with everything as it was, nothing has become another.
    later = replace(snapshot, taken=day("2024-11-02"))
    later = replace(later, former=former.all_seen(later, snapshot.former))
    assert former.successions(later) == () and former.leftovers(later) == ()
    assert {one.fingerprint for one in evaluate(later, RULES).findings} == {one.fingerprint for one in seen.findings}
