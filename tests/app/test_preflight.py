"""preflight against a simulator that refuses one permission at a time names exactly the blind rules."""

from __future__ import annotations

import pytest

from shared import app
from shared.preflight import Outcome, Preflight
from shared.rules import RULES
from shared.settings import Settings
from simulator import Fault, Tenant, load
from simulator.azurite import Azurite
from simulator.entities import SystemTopic

from ..conftest import Start, Watch, day

NOW = day("2026-09-13T06:00")

ROLES = {
    "aks_identity_replaced",
    "workload_identity_without_role",
    "aks_kubelet_cannot_pull",
    "aks_cluster_cannot_join_subnet",
    "aks_cluster_cannot_manage_node_group",
    "aks_cluster_cannot_assign_kubelet",
    "aks_cluster_cannot_edit_dns_zone",
    "role_assignment_deleted",
}
"""What is judged by what roles allow."""
RIGHTS = ROLES | {"aks_identity_overprivileged"}
"""What is judged by who is in which group, and holds which role assignment."""
TRUST = {
    "workload_identity_issuer_unknown",
    "workload_identity_subject_mismatch",
    "workload_identity_not_enabled",
    "workload_identity_without_role",
}
PRINCIPALS = {"aks_service_principal_expiry", "aks_service_principal_missing", "aks_service_principal_leftover"}
AZURE = (
    RIGHTS
    | PRINCIPALS
    | TRUST
    | {"aks_service_principal_cluster", "aks_identity_missing", "aks_pod_identity_deprecated", "subscription_not_wired"}
)
"""What is about clusters, so that nothing of it is seen without them."""
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"

ARM = {
    "AKS clusters": ("/managedClusters", AZURE),
    "Tags of resource groups": (r"/resourceGroups\?", set()),
    "Role assignments": ("/roleAssignments", RIGHTS | {"aks_service_principal_leftover"}),
    "Role definitions": ("/roleDefinitions", ROLES),
    "Managed identities": (r"/userAssignedIdentities\?", RIGHTS | TRUST | {"aks_identity_missing"}),
    "Federated credentials of identities": ("/federatedIdentityCredentials", TRUST),
    "Container registries": ("/registries", {"aks_kubelet_cannot_pull"}),
    "Subnets": ("/subnets/", {"aks_cluster_cannot_join_subnet"}),
    "System topics": (r"/systemTopics\?", {"subscription_not_wired"}),
    "Event subscriptions": ("/eventSubscriptions", {"subscription_not_wired"}),
    "Activity log": ("/eventtypes/", set()),
}
GRAPH = {
    "Applications": (
        r"v1\.0/applications\?",
        PRINCIPALS | {"entra_credential_expiry", "entra_application_without_owner"},
    ),
    "Service principals": (
        r"v1\.0/servicePrincipals\?",
        PRINCIPALS | {"entra_credential_expiry", "aks_identity_overprivileged", "aks_identity_replaced"},
    ),
    "Federated credentials of applications": ("/federatedIdentityCredentials", TRUST),
    "Recycle bin of Entra": ("/deletedItems/", {"aks_service_principal_missing"}),
    "Owners of applications": ("/owners", {"entra_application_without_owner"}),
    "Group memberships": ("/transitiveMemberOf", RIGHTS),
    "Owners' accounts": ("/users/", set()),
}
"""What is refused, and the rules that cannot judge without it: written from the catalogue of rules, by hand."""


def retailer() -> Tenant:
    """The retailer, whose shop has a route table of its own, and whose production reports its events."""
    tenant = load("retailer")
    cluster = tenant.cluster("shop-prod")
    cluster.outbound_type = "userDefinedRouting"
    tenant.topics.append(SystemTopic(subscription_id=cluster.subscription_id, group=cluster.group, name="events"))
    return tenant


async def tried(watch: Watch, *, storage: bool = False) -> Preflight:
    watch.azure.now = NOW
    async with watch.clients(storage=storage) as clients:
        return await app.preflight(clients, watch.settings, NOW)


def outcomes(found: Preflight) -> dict[str, set[Outcome]]:
    told: dict[str, set[Outcome]] = {}
    for one in found.checks:
        told.setdefault(one.what, set()).add(one.outcome)
    return told


async def test_a_tenant_in_which_all_is_granted(start: Start, azurite: Azurite) -> None:
    watch = start(retailer())
    found = await tried(watch, storage=True)
    assert found.blind == {}
    assert not found.faults
    assert not found.wrong
    assert (found.identity.object_id, found.identity.app_id) == (watch.azure.object_id, watch.azure.client_id)
    told = outcomes(found)
    assert {name for name, ends in told.items() if Outcome.WORKS in ends} == {
        "Azure subscriptions",
        # System topics are read on the way to what is subscribed to them.
        *(ARM.keys() - {"System topics"}),
        *GRAPH,
        "Owners' names",
        *(f"Own tables: {name}" for name in ("findings", "baseline", "inbox", "scans")),
    }
    assert {name for name in told if name.startswith("TEAMS")} == {
        "TEAMS_WEBHOOK_URL",
        "TEAMS_WEBHOOK_URL_SHOP",
        "TEAMS_WEBHOOK_URL_WEB",
    }
    assert not [row for table in ("findings", "baseline", "inbox", "scans") for row in azurite.rows(table)]
    assert not [request for request in watch.azure.requests if request.host == "teams"], "nothing is posted"


@pytest.mark.parametrize("name", ARM)
async def test_one_refusal_of_azure(start: Start, name: str) -> None:
    path, blind = ARM[name]
    watch = start(retailer(), storage=False)
    watch.azure.add(Fault(path=path, host="arm", status=403))
    found = await tried(watch)
    assert set(found.blind) == blind
    refused = [one for one in found.checks if one.outcome is Outcome.REFUSED]
    assert {one.what for one in refused} == {name}
    for one in refused:
        assert one.scope.startswith("/subscriptions/")
        assert one.source
        assert one.source.role == "Reader"
        assert one.command == (
            f"az role assignment create --assignee-object-id {watch.azure.object_id} --assignee-principal-type "
            f"ServicePrincipal --role {READER} --scope {one.scope}"
        )


@pytest.mark.parametrize("name", GRAPH)
async def test_one_refusal_of_graph(start: Start, name: str) -> None:
    path, blind = GRAPH[name]
    watch = start(retailer(), storage=False)
    watch.azure.add(Fault(path=path, host="graph", status=403))
    found = await tried(watch)
    assert set(found.blind) == blind
    (refused,) = (one for one in found.checks if one.outcome is Outcome.REFUSED)
    assert refused.what == name
    assert refused.source
    wanted = "User.Read.All" if name == "Owners' accounts" else "Application.Read.All"
    assert refused.source.role == wanted
    assert watch.azure.object_id in refused.command
    assert {"User.Read.All": "df021288", "Application.Read.All": "9a5d68dd"}[wanted] in refused.command


async def test_owners_without_names(start: Start) -> None:
    watch = start(retailer(), storage=False)
    watch.azure.tenant.permissions.discard("User.ReadBasic.All")
    found = await tried(watch)
    assert found.blind == {}
    refused = next(one for one in found.checks if one.outcome is Outcome.REFUSED)
    assert (refused.what, refused.reason) == ("Owners' names", "owners come without a name")
    assert refused.source
    assert refused.source.without == "cards show owners as ids"
    assert "97235f07" in refused.command


@pytest.mark.parametrize("refused", [True, False], ids=["owners are refused", "nobody owns anything"])
async def test_whether_owners_have_names_is_not_known_without_owners(start: Start, refused: bool) -> None:
    watch = start(retailer(), storage=False)
    fault = Fault(path="/owners", host="graph", status=403) if refused else None
    for one in () if refused else watch.azure.tenant.applications:
        one.owners.clear()
    if fault:
        watch.azure.add(fault)
    assert outcomes(await tried(watch))["Owners' names"] == {Outcome.UNTRIED}


async def test_one_subscription_of_three(start: Start) -> None:
    watch = start(retailer(), storage=False)
    stage = f"/subscriptions/{watch.azure.tenant.subscription('Northwind Staging').id}"
    watch.azure.add(Fault(path=f"{stage}/.*/managedClusters", host="arm", status=403))
    found = await tried(watch)
    assert set(found.blind) == AZURE
    assert {one.scope for checks in found.blind.values() for one in checks} == {stage}


@pytest.mark.parametrize("status", [403, 200], ids=["the list is refused", "no subscription is readable"])
async def test_no_subscription(start: Start, status: int) -> None:
    watch = start(retailer(), storage=False)
    body = b'{"value": []}' if status == 200 else None
    watch.azure.add(Fault(path=r"/subscriptions\?", host="arm", status=status, body=body))
    found = await tried(watch)
    assert set(found.blind) == AZURE
    (refused,) = (one for one in found.checks if one.outcome is Outcome.REFUSED)
    assert refused.scope == "/"
    assert "--scope /providers/Microsoft.Management/managementGroups/" in refused.command


async def test_a_subscription_that_the_settings_name(start: Start) -> None:
    watch = start(retailer(), storage=False)
    watch.env["SUBSCRIPTIONS"] = "99999999-0000-4000-8000-000000000000"
    found = await tried(watch)
    assert set(found.blind) == AZURE
    (refused,) = (one for one in found.checks if one.outcome is Outcome.REFUSED)
    assert refused.scope == "/subscriptions/99999999-0000-4000-8000-000000000000"


async def test_everything_of_graph(start: Start) -> None:
    watch = start(retailer(), storage=False)
    watch.azure.add(Fault(path="/v1.0/", host="graph", status=403))
    found = await tried(watch)
    assert (
        set(found.blind) == PRINCIPALS | {"entra_credential_expiry", "entra_application_without_owner"} | RIGHTS | TRUST
    )
    assert {one.what for one in found.checks if one.outcome is Outcome.REFUSED} == set(GRAPH)


async def test_a_fault_that_may_pass_blinds_nothing(start: Start) -> None:
    watch = start(retailer(), storage=False)
    watch.azure.add(Fault(path="/registries", host="arm", status=503))
    found = await tried(watch)
    assert found.blind == {}
    assert found.faults


async def test_a_service_that_a_subscription_never_used_is_no_refusal(start: Start) -> None:
    watch = start(retailer(), storage=False)
    body = b'{"error": {"code": "MissingSubscriptionRegistration", "message": "no"}}'
    watch.azure.add(Fault(path="/registries", host="arm", status=409, body=body))
    found = await tried(watch)
    assert found.blind == {}
    assert not found.faults


async def test_storage_that_refuses_silences_every_rule(start: Start, azurite: Azurite) -> None:
    watch = start(retailer())
    good = azurite.connection_string
    key = next(part for part in good.split(";") if part.startswith("AccountKey="))
    watch.env["AzureWebJobsStorage"] = good.replace(key, "AccountKey=d3Jvbmc=")
    found = await tried(watch, storage=True)
    assert set(found.blind) == {rule.id for rule in RULES}
    assert outcomes(found)["Own tables: findings"] == {Outcome.REFUSED}


async def test_without_storage_it_says_so(start: Start) -> None:
    found = await tried(start(retailer(), storage=False))
    assert outcomes(found)["Own tables"] == {Outcome.OFF}


async def test_without_a_token_every_rule_that_reads_is_blind(start: Start) -> None:
    watch = start(retailer(), storage=False)
    watch.azure.add(Fault(path="/msi/token", host="identity", status=400))
    found = await tried(watch)
    assert found.identity.object_id == ""
    assert set(found.blind) == AZURE | {"entra_credential_expiry", "entra_application_without_owner"}
    assert all("no token" in one.reason for one in found.checks if one.outcome is Outcome.REFUSED)
    assert not any(one.command for one in found.checks)


async def test_without_a_token_for_azure_that_for_graph_says_who_it_is(start: Start) -> None:
    watch = start(retailer(), storage=False)
    watch.azure.add(Fault(path=f"/msi/token.*resource={watch.azure.origins['arm']}", host="identity", status=400))
    found = await tried(watch)
    assert (found.identity.object_id, found.identity.app_id) == (watch.azure.object_id, watch.azure.client_id)
    assert {one.no_token != "" for one in found.checks if one.outcome is Outcome.REFUSED} == {True}
    assert set(found.blind) == AZURE


def test_wrong_settings_are_told() -> None:
    from shared.app.preflight import _settings

    env = {
        "SCAN_SCHEDULE": "daily",
        "TEAMS_WEBHOOK_URL": "http://x.example/",
        "TEAMS_WEBHOOK_URL_WEB": "https://x.example/",
    }
    checks = {one.what: one for one in _settings(Settings.from_env(env))}
    assert {name: one.outcome for name, one in checks.items()} == {
        "SCAN_SCHEDULE": Outcome.WRONG,
        "TEAMS_WEBHOOK_URL": Outcome.WRONG,
        "TEAMS_WEBHOOK_URL_WEB": Outcome.UNTRIED,
        "TOPIC_ENDPOINT": Outcome.OFF,
    }
