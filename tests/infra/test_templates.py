"""What the compiled templates may and may not hold: keys, public access, Flex's refusals, roles and their order."""

import json
import re

import pytest

from .arm import modules, resources, templates, texts
from .conftest import ROOT, compiled, load

ENTRY_POINTS = sorted(load("compile").ENTRY_POINTS)
APP_ROLES = {
    ("Microsoft.Storage/storageAccounts", "b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "Storage Blob Data Owner"),
    ("Microsoft.Storage/storageAccounts", "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3", "Storage Table Data Contributor"),
    ("Microsoft.KeyVault/vaults", "4633458b-17de-408a-b874-0445c86b69e6", "Key Vault Secrets User"),
    ("Microsoft.Insights/components", "3913510d-42f4-4e42-8a64-420c390055eb", "Monitoring Metrics Publisher"),
    ("Microsoft.EventGrid/topics", "d5a91429-5739-47e2-a06b-3470a27159e7", "EventGrid Data Sender"),
}
TOPIC_ROLE = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
FLEX_REFUSES = {
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_EXTENSION_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "ENABLE_ORYX_BUILD",
    "WEBSITE_TIME_ZONE",
    "TZ",
}


def snapshot(tenant: str, kind: str) -> list[dict]:
    return [one for one in compiled(f"{tenant}.snapshot")["predictedResources"] if one["type"] == kind]


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_every_parameter_is_described_and_no_secret_has_a_default_or_leaves(entry: str) -> None:
    for template in templates(compiled(entry)):
        secure = set()
        for name, parameter in template.get("parameters", {}).items():
            assert parameter.get("metadata", {}).get("description"), name
            if parameter["type"].lower() in ("securestring", "secureobject"):
                secure.add(name)
                assert "defaultValue" not in parameter
        for output in template.get("outputs", {}).values():
            assert not any(f"parameters('{name}')" in text for name in secure for text in texts(output))


def test_only_the_webhook_template_takes_a_secret() -> None:
    found = {
        entry
        for entry in ENTRY_POINTS
        for one in templates(compiled(entry))
        for p in one.get("parameters", {}).values()
        if "secure" in p["type"].lower()
    }
    assert found == {"webhook"}


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_no_key_is_read_or_made(entry: str) -> None:
    text = json.dumps(compiled(entry))
    for forbidden in (
        "listKeys",
        "listAccountSas",
        "listSecrets",
        "listkeys",
        "AccountKey=",
        "InstrumentationKey",
        "sharedKey",
        "sig=",
    ):
        assert forbidden not in text.replace("allowSharedKeyAccess", "")


def test_storage_has_no_keys_no_public_blob_and_new_tls() -> None:
    (account,) = snapshot("contoso", "Microsoft.Storage/storageAccounts")
    wanted = {
        "allowSharedKeyAccess": False,
        "allowBlobPublicAccess": False,
        "allowCrossTenantReplication": False,
        "minimumTlsVersion": "TLS1_2",
        "supportsHttpsTrafficOnly": True,
    }
    assert wanted.items() <= account["properties"].items()
    containers = snapshot("contoso", "Microsoft.Storage/storageAccounts/blobServices/containers")
    assert {one["name"].rpartition("/")[2] for one in containers} == {"app-package", "dead-letter"}
    assert all(one["properties"]["publicAccess"] == "None" for one in containers)


def test_the_vault_is_kept_by_roles_and_cannot_be_purged() -> None:
    (vault,) = snapshot("contoso", "Microsoft.KeyVault/vaults")
    wanted = {
        "enableRbacAuthorization": True,
        "enablePurgeProtection": True,
        "enableSoftDelete": True,
        "softDeleteRetentionInDays": 90,
    }
    assert wanted.items() <= vault["properties"].items()


@pytest.mark.parametrize(
    ("kind", "switch"),
    [
        ("Microsoft.Insights/components", {"DisableLocalAuth": True}),
        ("Microsoft.EventGrid/topics", {"disableLocalAuth": True, "minimumTlsVersionAllowed": "1.2"}),
        ("Microsoft.OperationalInsights/workspaces", {"features": {"disableLocalAuth": True}}),
    ],
)
def test_only_entra_identities_may_write(kind: str, switch: dict) -> None:
    (found,) = snapshot("fabrikam", kind)
    assert switch.items() <= found["properties"].items()


def test_the_custom_topic_is_made_only_on_request() -> None:
    assert snapshot("contoso", "Microsoft.EventGrid/topics") == []
    assert {
        one["properties"]["roleDefinitionId"][-36:]
        for one in snapshot("contoso", "Microsoft.Authorization/roleAssignments")
    } == {guid for kind, guid, _ in APP_ROLES if kind != "Microsoft.EventGrid/topics"}


def test_the_app_holds_nothing_that_flex_consumption_refuses() -> None:
    (site,) = snapshot("fabrikam", "Microsoft.Web/sites")
    assert site["kind"] == "functionapp,linux"
    assert site["properties"]["httpsOnly"] is True
    assert site["properties"]["siteConfig"].keys() == {"minTlsVersion", "appSettings"}
    assert site["properties"]["siteConfig"]["minTlsVersion"] == "1.2"
    names = {one["name"] for one in site["properties"]["siteConfig"]["appSettings"]}
    assert not names & FLEX_REFUSES
    assert not [name for name in names if name.startswith("WEBSITE_CONTENT") or name == "AzureWebJobsStorage"]
    assert site["properties"]["functionAppConfig"]["runtime"] == {"name": "python", "version": "3.13"}
    assert (
        site["properties"]["functionAppConfig"]["deployment"]["storage"]["authentication"]["type"]
        == "UserAssignedIdentity"
    )
    (plan,) = snapshot("fabrikam", "Microsoft.Web/serverfarms")
    assert (plan["sku"], plan["properties"]) == ({"name": "FC1", "tier": "FlexConsumption"}, {"reserved": True})


def test_publishing_by_password_is_off() -> None:
    found = snapshot("contoso", "Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert {(one["name"].rpartition("/")[2], one["properties"]["allow"]) for one in found} == {
        ("ftp", False),
        ("scm", False),
    }


def test_webhooks_are_unversioned_references_and_nothing_else_is_secret() -> None:
    (site,) = snapshot("fabrikam", "Microsoft.Web/sites")
    for one in site["properties"]["siteConfig"]["appSettings"]:
        if one["name"].startswith("TEAMS_WEBHOOK_URL"):
            assert re.search(
                r"@Microsoft\.KeyVault\(SecretUri=\{0\}secrets/teams-webhook-url(-\{1\})?\)", one["value"]
            ), one
    assert site["identity"]["type"] == "UserAssigned"
    assert site["properties"]["keyVaultReferenceIdentity"].endswith("outputs.id.value]")


def test_the_roles_are_those_of_the_list_at_the_scopes_of_the_list() -> None:
    found = set()
    roles = modules(compiled("main"))["roles"]["properties"]["template"]
    for one in resources(roles):
        assert one["type"] == "Microsoft.Authorization/roleAssignments"
        assert one["properties"]["principalType"] == "ServicePrincipal"
        assert len(one["properties"]["description"]) > 20
        assert one["properties"]["principalId"] == "[parameters('principalId')]"
        (variable,) = re.findall(r"variables\('(\w+)'\)", one["properties"]["roleDefinitionId"])
        (kind,) = re.findall(r"resourceId\('([^']+)'", one["scope"])
        found.add((kind, roles["variables"][variable]))
    assert found == {(kind, guid) for kind, guid, _ in APP_ROLES}
    everywhere = [
        one for one in resources(compiled("main")) if one["type"] == "Microsoft.Authorization/roleAssignments"
    ]
    assert len(everywhere) == len(APP_ROLES)


def test_roles_come_before_the_app_that_needs_them() -> None:
    found = modules(compiled("main"))
    assert "roles" in found["app"]["dependsOn"]
    assert {"identity", "storage", "vault", "monitoring", "topic"} <= set(found["roles"]["dependsOn"])


def test_the_identity_may_write_nowhere_but_its_own_resources() -> None:
    """Its roles in main are on our resources; what access/ adds can only read."""
    for kind, _, _ in APP_ROLES:
        made = [one for one in resources(compiled("main")) if one["type"] == kind]
        assert len(made) == 1, kind
    for entry in ("access-management-group", "access-subscriptions"):
        text = json.dumps(compiled(entry))
        assert set(re.findall(GUID, text)) == {READER}
        for template in templates(compiled(entry)):
            for one in resources(template):
                if one["type"] == "Microsoft.Authorization/roleDefinitions":
                    (permission,) = one["properties"]["permissions"]
                    assert permission.keys() == {"actions"}
    actions = json.loads((ROOT / "infra/access/actions.json").read_text())
    assert all(action.endswith("/read") and "*" not in action for action in actions)


def test_a_topic_may_write_into_the_dead_letter_container_only() -> None:
    found = [one for one in resources(compiled("events")) if one["type"] == "Microsoft.Authorization/roleAssignments"]
    assert len(found) == 1
    assert "Microsoft.Storage/storageAccounts/blobServices/containers" in found[0]["scope"]
    assert set(re.findall(GUID, json.dumps(compiled("events")))) == {TOPIC_ROLE}


def events(tenant: str) -> list[dict]:
    return compiled(f"{tenant}.events.snapshot")["predictedResources"]


def test_every_subscription_is_wired_once_with_the_longest_retry() -> None:
    found = [one for one in events("fabrikam") if one["type"].endswith("/eventSubscriptions")]
    assert len({one["id"].split("/")[2] for one in found}) == len(found) == 40
    for one in found:
        assert one["properties"]["retryPolicy"] == {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440}
        assert one["properties"]["destination"]["endpointType"] == "AzureFunction"
        assert one["properties"]["destination"]["properties"]["maxEventsPerBatch"] == 1
        assert "expirationTimeUtc" not in one["properties"]
    assert len([one for one in events("fabrikam") if one["type"].endswith("/systemTopics")]) == 38
    assert len([one for one in events("fabrikam") if one["type"] == "Microsoft.Insights/metricAlerts"]) == 80


def test_dead_letters_are_kept_by_identity_wherever_the_topic_has_one() -> None:
    for one in events("fabrikam"):
        if one["type"].endswith("/eventSubscriptions"):
            without = one["id"].split("/")[2].endswith("23")
            kept = one["properties"].get("deadLetterWithResourceIdentity")
            assert (kept is None) == without
            if kept:
                assert kept["identity"] == {"type": "SystemAssigned"}
                assert kept["deadLetterDestination"]["properties"]["blobContainerName"] == "dead-letter"


def test_the_event_subscription_waits_for_the_topics_right() -> None:
    wired = modules(next(iter(modules(compiled("events")).values()))["properties"]["template"])
    assert {"topic", "roles"} <= set(wired["wire"]["dependsOn"])


def test_main_hands_events_exactly_its_parameters() -> None:
    given = compiled("main")["outputs"]["events"]["value"]
    assert given.keys() == compiled("events")["parameters"].keys()
    assert all(value.keys() == {"value"} for value in given.values())


@pytest.mark.parametrize("tenant", ["contoso", "fabrikam"])
def test_the_names_that_deploy_assumes_are_those_of_the_templates(tenant: str) -> None:
    own = [one for one in events(tenant) if one["type"].endswith("/systemTopics")]
    assert {one["name"] for one in own} == {"evgt-fusewatch-subscription"}
    assert {one["id"].split("/")[4] for one in own} == {"rg-fusewatch-events"}
    assert compiled(f"{tenant}.snapshot")["outputs"]["resourceGroup"] == "rg-fusewatch"
    alerts = [one["name"] for one in events(tenant) if one["type"] == "Microsoft.Insights/metricAlerts"]
    assert set(alerts) == {"fusewatch-DeadLetteredCount", "fusewatch-DroppedEventCount"}


@pytest.mark.parametrize(("tenant", "hours", "window"), [("contoso", 12, "P1D"), ("fabrikam", 8, "P1D")])
def test_a_missing_scan_is_noticed_after_twice_the_interval(tenant: str, hours: int, window: str) -> None:
    rules = {one["name"]: one["properties"] for one in snapshot(tenant, "Microsoft.Insights/scheduledQueryRules")}
    assert rules.keys() == {"fusewatch-scan-missing", "fusewatch-execution-failed", "fusewatch-receiver-refused"}
    rule = rules["fusewatch-scan-missing"]
    (criterion,) = rule["criteria"]["allOf"]
    assert f"ago({hours}h)" in criterion["query"]
    assert (criterion["operator"], criterion["threshold"], rule["windowSize"]) == ("LessThan", 1, window)
    for one in rules.values():
        assert one["actions"]["actionGroups"]
        title = re.search(r'operations\.md, "(.+)"', one["description"]) or re.search(
            r"operations\.md, \"(.+)\"", one["description"]
        )
        assert title and f"## {title[1]}\n" in (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def test_graph_permissions_are_looked_up_by_name() -> None:
    text = json.dumps(compiled("access-graph"))
    assert "Application.Read.All" in text and "User.ReadBasic.All" in text
    assert "ReadWrite" not in text
    assert set(re.findall(GUID, text)) == {"00000003-0000-0000-c000-000000000000"}


def documented() -> str:
    return (ROOT / "docs/permissions.md").read_text(encoding="utf-8")


def test_every_role_and_action_is_documented() -> None:
    for _, guid, name in APP_ROLES:
        assert f"{name} | `{guid}`" in documented()
    for action in json.loads((ROOT / "infra/access/actions.json").read_text()):
        assert f"`{action}`" in documented()
    for name in ("Application.Read.All", "User.ReadBasic.All", READER, TOPIC_ROLE):
        assert name in documented()


def test_nothing_names_a_path_of_a_machine() -> None:
    for file in [
        ROOT / "deploy",
        *(ROOT / "infra").rglob("*"),
        *(ROOT / ".github").rglob("*"),
        ROOT / "docs/operations.md",
        ROOT / "docs/permissions.md",
    ]:
        if file.is_file() and "__pycache__" not in file.parts:
            assert not re.search(r"/work/|/home/\w|shared/tools", file.read_text(encoding="utf-8")), file
